import { defineConfig } from "vitest/config";

// Scenarios in a real browser against a real daemon: one after the other, for they change one table.
export default defineConfig({
  test: {
    include: ["tests/**/*.spec.ts"],
    fileParallelism: false,
    // However slow the machine is: only what does not happen at all fails.
    testTimeout: 900_000,
    hookTimeout: 900_000,
    expect: { poll: { timeout: 300_000, interval: 100 } },
  },
});
