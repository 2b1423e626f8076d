// Bundles a page in Solid's JSX: node build.mjs ENTRY OUT, with VERSION of Solid (1 or 2), and
// TARGET: dom, or ssr for a page that a server renders.

import { readFile } from "node:fs/promises";
import babel from "@babel/core";
import { build } from "esbuild";

const [entry, outfile, version, target = "dom"] = process.argv.slice(2);
const alias = version === "2" ? { "solid-web": "@solidjs/web", "solid-jobs": "./solid2.js" }
  : { "solid-web": "solid-js/web", "solid-jobs": "./solid.js" };
const jsx = {
  name: "jsx",
  setup({ onLoad }) {
    onLoad({ filter: /\.jsx$/ }, async ({ path }) => {
      // The newest compiler of Solid 2 marks delegated events as the newest runtime does not read them.
      const delegateEvents = version === "1";
      const presets = [["babel-preset-solid", { generate: target, hydratable: target === "ssr", delegateEvents }]];
      const made = await babel.transformAsync(await readFile(path, "utf8"), {
        filename: path, presets, babelrc: false, configFile: false,
      });
      return { contents: made.code, loader: "js" };
    });
  },
};
await build({
  entryPoints: [entry], outfile, bundle: true, format: "esm", plugins: [jsx], alias,
  conditions: target === "ssr" ? ["node"] : ["browser"], platform: target === "ssr" ? "node" : "browser",
  logLevel: "warning", logOverride: { "import-is-undefined": "error" },
});
