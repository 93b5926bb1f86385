import { defineConfig } from "vitest/config";

export default defineConfig({
  oxc: { jsx: { runtime: "automatic" } },
  test: {
    include: ["sdk/tests/**/*.test.ts", "app/tests/**/*.test.{ts,tsx}"],
    environment: "node",
    restoreMocks: true,
    testTimeout: 10_000,
    css: { modules: { classNameStrategy: "non-scoped" } },
  },
});
