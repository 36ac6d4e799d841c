// What a guest does to its share while the host reads it: one of these steps over and over, until it is killed.
//
//     node change.mjs STEP SHARE KERNEL INITRD

import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import { join } from "node:path";

const [, , step = "", share = "", kernelName = "", initrdName = ""] = process.argv;
const kernel = join(share, kernelName);
const initrd = join(share, initrdName);
const bytes = fs.readFileSync(kernel);
const other = join(share, "other");
const aside = join(share, "aside");

/** Swaps the name for what `make` put at `other`, and back. */
function swap(name, make) {
  make();
  return () => {
    fs.renameSync(name, aside);
    fs.renameSync(other, name);
    fs.renameSync(name, other);
    fs.renameSync(aside, name);
  };
}

const fd = () => fs.openSync(initrd, "r+");
const steps = {
  "swap-kernel": () => swap(kernel, () => fs.writeFileSync(other, Buffer.alloc(bytes.length, "garbage"))),
  "swap-link": () =>
    swap(kernel, () => fs.symlinkSync("../../0d9e6f3a-5c1b-4c1e-9f53-0b1f4a7a2c11/run/vmlinuz", other)),
  "swap-fifo": () => swap(kernel, () => execFileSync("mkfifo", [other])),
  "swap-folder": () => swap(initrd, () => fs.mkdirSync(other)),
  shrink: () => () => {
    fs.truncateSync(kernel, 600);
    fs.writeFileSync(kernel, bytes);
  },
  grow: () => {
    let size = fs.statSync(initrd).size;
    const to = fd();
    const pairs = join(share, "../pairs");
    const copying = () =>
      fs.readdirSync(pairs).some((name) => fs.existsSync(join(pairs, name, "initrd.img")));
    return () => {
      // Not before its size was looked at: the copy is to meet it.
      if (!copying()) return;
      size = Math.min(size + 2 ** 24, 2 ** 40);
      fs.ftruncateSync(to, size);
    };
  },
  overwrite: () => {
    const to = fd();
    const garbage = Buffer.alloc(2 ** 20, "x");
    const good = Buffer.alloc(2 ** 20);
    fs.readSync(to, good, 0, good.length, 0);
    return () => {
      fs.writeSync(to, garbage, 0, garbage.length, 0);
      fs.writeSync(to, good, 0, good.length, 0);
    };
  },
  vanish: () => () => {
    for (const name of [kernel, initrd]) {
      fs.renameSync(name, aside);
      fs.renameSync(aside, name);
    }
  },
  links: () => {
    const texts = [kernelName, "/etc/passwd", "../../x", "-a -- passwd -tetc", "\x1b[2J", initrdName];
    let n = 0;
    return () => {
      fs.writeFileSync(other, texts[n++ % texts.length] ?? "");
      fs.renameSync(other, join(share, n % 2 === 0 ? "vmlinuz" : "initrd.img"));
    };
  },
  names: () => () => {
    for (let i = 0; i < 2000; i++) fs.linkSync(kernel, join(share, `vmlinuz-7.${i}`));
    for (let i = 0; i < 2000; i++) fs.unlinkSync(join(share, `vmlinuz-7.${i}`));
  },
};

const once = steps[step]();
once();
process.stdout.write("changing\n");
for (;;) once();
