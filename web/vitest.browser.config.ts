import { defineConfig } from "vitest/config";

// Scenarios in a real browser against a real daemon: one after the other, for they change one table.
export default defineConfig({
  test: {
    include: ["tests/**/*.spec.ts"],
    fileParallelism: false,
    // However slow the machine is: only what does not happen at all fails.
    testTimeout: 600_000,
    hookTimeout: 600_000,
    expect: { poll: { timeout: 60_000, interval: 100 } },
  },
});
