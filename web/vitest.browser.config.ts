import { defineConfig } from "vitest/config";

// Scenarios in a real browser against a real daemon: one after the other, for they change one table.
export default defineConfig({
  test: {
    include: ["tests/**/*.spec.ts"],
    fileParallelism: false,
    testTimeout: 60_000,
    hookTimeout: 120_000,
  },
});
