import reactHooks from "eslint-plugin-react-hooks";
import { defineConfig, globalIgnores } from "eslint/config";
import tseslint from "typescript-eslint";

/** The layers of src/, from the bottom to the top. Each imports only from the layers before it. */
const LAYERS = ["lib", "api", "components", "features", "layouts", "pages"];

const importRule = (patterns) => ({ "no-restricted-imports": ["error", { patterns }] });

const above = (layer) => [...LAYERS.slice(LAYERS.indexOf(layer) + 1), "routes", "main"];

const boundaries = LAYERS.map((layer) => ({
  files: [`src/${layer}/**/*.{ts,tsx}`],
  rules: importRule([
    {
      regex: `^(\\.\\./)+(${above(layer).join("|")})(/|$)`,
      message: `src/${layer} must not import from the layers above it.`,
    },
    // A page is a folder of src/pages, so a single ../ leads to another page.
    ...(layer === "pages" ? [{ regex: "^\\.\\./(?!\\.\\./)", message: "Pages must not import each other." }] : []),
  ]),
}));

export default defineConfig(
  globalIgnores(["dist", "**/*.generated.*"]),
  tseslint.configs.recommended,
  {
    files: ["src/**/*.{ts,tsx}"],
    extends: [reactHooks.configs.flat.recommended],
    rules: {
      // Column definitions of TanStack Table mix value types.
      "@typescript-eslint/no-explicit-any": "off",
      "@typescript-eslint/no-unused-vars": ["error", { argsIgnorePattern: "^_", varsIgnorePattern: "^_" }],
      "react-hooks/exhaustive-deps": "error",
      // The console doesn't use the React Compiler.
      "react-hooks/incompatible-library": "off",
    },
  },
  boundaries,
);
