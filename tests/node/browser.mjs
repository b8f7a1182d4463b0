// Unpacks the Chromium of the tests beside the packages, with the libraries that bare machines lack, and prints a command
// that starts it. Where the package has none for this machine, the tests look for one that is installed.
import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync, readFileSync, chmodSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = join(dirname(fileURLToPath(import.meta.url)), "node_modules");
const folder = join(here, ".chromium");
const version = JSON.parse(readFileSync(join(here, "@sparticuz/chromium/package.json"), "utf8")).version;
const command = join(folder, "chromium.sh"), stamp = join(folder, "version");

if (process.platform !== "linux" || process.arch !== "x64") process.exit(0);
if (!existsSync(stamp) || readFileSync(stamp, "utf8") !== version) {
  const fresh = `${folder}.${process.pid}`;
  mkdirSync(fresh, { recursive: true });
  // It unpacks into the folder for temporary files, and its libraries only where it takes the machine for a bare one.
  process.env.TMPDIR = fresh;
  process.env.AWS_LAMBDA_JS_RUNTIME = "nodejs22.x";
  const { default: chromium } = await import("@sparticuz/chromium");
  await chromium.executablePath();
  // Its own settings of fonts name folders that are not ours; without any font it dies at the first letter.
  const fonts = [
    '<?xml version="1.0"?>',
    '<!DOCTYPE fontconfig SYSTEM "fonts.dtd">',
    '<fontconfig><dir>/usr/share/fonts</dir><dir prefix="relative">fonts/fonts</dir>',
    '<cachedir prefix="xdg">fontconfig</cachedir></fontconfig>',
  ];
  writeFileSync(join(fresh, "fonts.conf"), fonts.join("\n") + "\n");
  const script = [
    "#!/bin/sh",
    'here=$(cd "$(dirname "$0")" && pwd)',
    'export LD_LIBRARY_PATH="$here/al2023/lib:$here" FONTCONFIG_FILE="$here/fonts.conf"',
    'exec "$here/chromium" "$@"',
  ];
  writeFileSync(join(fresh, "chromium.sh"), script.join("\n") + "\n");
  chmodSync(join(fresh, "chromium.sh"), 0o755);
  writeFileSync(join(fresh, "version"), version);
  rmSync(folder, { recursive: true, force: true });
  renameSync(fresh, folder);
}
console.log(command);
