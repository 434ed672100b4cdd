import { defineConfig } from "vitest/config";

// What is run by itself, by its name.
export default defineConfig({
  test: {
    include: ["tests/**/*.alone.ts"],
    fileParallelism: false,
    testTimeout: 900_000,
    hookTimeout: 300_000,
  },
});
