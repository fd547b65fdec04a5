import { defineConfig } from "vitest/config";

export default defineConfig({
  // Longer than any wait in a test (tests/eventually.ts): the wait itself then says what is missing.
  test: { testTimeout: 180_000, hookTimeout: 180_000 },
});
