import { fileURLToPath } from "node:url";
import { runnerImport } from "vite";

/** Imports a module of the console by its path in src/. */
export async function load(path) {
  const file = fileURLToPath(new URL(`../../src/${path}`, import.meta.url));
  return (await runnerImport(file, { configFile: false, logLevel: "error" })).module;
}
