// Builds the browser files into web/static/dist.
import { build } from "esbuild";

await build({
  entryPoints: {
    app: "src/app.ts",
    desk: "src/desk/main.ts",
    "app-ltr": "src/app-ltr.css",
    "app-rtl": "src/app-rtl.css",
  },
  outdir: "../static/dist",
  bundle: true,
  minify: true,
  target: "es2022",
  define: { global: "globalThis" },
  loader: { ".svg": "dataurl", ".woff2": "file" },
  legalComments: "linked",
  logLevel: "warning",
});
