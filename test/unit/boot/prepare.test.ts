import {
  closeSync,
  existsSync,
  fstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { appendEvents, readEvents, readState } from "../../../src/boot/log.ts";
import { presentMoment } from "../../../src/boot/moment.ts";
import { changePolicy } from "../../../src/boot/policy.ts";
import { prepareBoot, survey } from "../../../src/boot/prepare.ts";
import { noteRestore, takeRestoreNote } from "../../../src/boot/restore.ts";
import { storeProvided } from "../../../src/boot/stage.ts";
import { UserError } from "../../../src/errors.ts";
import type { DomainMachine } from "../../../src/kernel/features.ts";
import { type GuestPaths, guestPaths } from "../../../src/paths.ts";
import { configText } from "../kernel/debian-configs.ts";
import { bzImage, zImage, zstdInitrd } from "../kernel/images.ts";
import { AMD64 } from "../machines.ts";

let paths: GuestPaths;

beforeEach(() => {
  paths = guestPaths(mkdtempSync(join(tmpdir(), "bootshare-prepare-")));
  for (const folder of [paths.share, paths.run, paths.pairs]) mkdirSync(folder);
});
afterEach(() => rmSync(paths.dir, { recursive: true, force: true }));

const kernelOf = (release: string): Buffer => bzImage({ release: `${release} (debian@example)` });
const initrdOf = (release: string): Buffer => Buffer.concat([zstdInitrd(), Buffer.from(release)]);

/** Puts a kernel, and its initrd unless told otherwise, into the share. */
function install(release: string, initrd = true): void {
  writeFileSync(join(paths.share, `vmlinuz-${release}`), kernelOf(release));
  if (initrd) writeFileSync(join(paths.share, `initrd.img-${release}`), initrdOf(release));
}

/** Makes the default links as 9p's mapped mode stores them: plain files that hold the target. */
function link(release: string, initrd = release): void {
  rmSync(join(paths.share, "vmlinuz"), { force: true });
  rmSync(join(paths.share, "initrd.img"), { force: true });
  writeFileSync(join(paths.share, "vmlinuz"), `vmlinuz-${release}`);
  writeFileSync(join(paths.share, "initrd.img"), `initrd.img-${initrd}`);
}

/** The present attempt turned out good. */
function beGood(): void {
  const { current } = readState(paths);
  if (current === undefined) throw new Error("no attempt");
  appendEvents(paths, [{ e: "good", attempt: current.id, release: current.pair.release }]);
}

const prepare = (machine = AMD64): string => {
  const { pair, source } = prepareBoot(paths, "worker1", machine);
  return `${pair.release} by ${source}`;
};

/** QEMU ran, and the machine was reset. */
function beReset(): void {
  appendEvents(paths, [{ e: "started" }, { e: "released", reason: "shutdown" }]);
}

describe("boot assessment in prepareBoot", () => {
  const [OLD, NEW] = ["6.1.0-9-amd64", "6.1.0-10-amd64"];
  /** A guest that is good with OLD, and whose apt has installed NEW. */
  function upgrade(): void {
    install(OLD);
    link(OLD);
    prepare();
    beGood();
    install(NEW);
    link(NEW);
  }
  const passedOver = (): string[] =>
    readState(paths).current?.skipped.map(({ release, reason }) => `${release}: ${reason}`) ?? [];

  it("tries a new kernel twice, then boots the last good one, with nobody there", () => {
    upgrade();
    const boots = [1, 2, 3, 4].map(() => {
      const chosen = prepare();
      beReset();
      return chosen;
    });
    expect(boots).toEqual([`${NEW} by links`, `${NEW} by links`, `${OLD} by good`, `${OLD} by good`]);
    expect(passedOver()).toEqual([`${NEW}: it is bad: it was not good in 2 tries`]);
    expect(readFileSync(paths.runKernel)).toEqual(kernelOf(OLD));
  });

  it("boots the last good one from the host's own copy when /boot is empty", () => {
    upgrade();
    for (const name of readdirSync(paths.share)) rmSync(join(paths.share, name));
    expect(prepare()).toBe(`${OLD} by good`);
    expect(readFileSync(paths.runInitrd)).toEqual(initrdOf(OLD));
  });

  it("gives as many tries as the guest's policy says", async () => {
    upgrade();
    changePolicy(paths, { tries: 1 });
    prepare();
    beReset();
    expect(prepare()).toBe(`${OLD} by good`);
    expect(passedOver()).toEqual([`${NEW}: it is bad: it was not good in its only try`]);
  });

  it("takes other bytes of the same release for another kernel", () => {
    upgrade();
    for (let i = 0; i < 2; i++) {
      prepare();
      beReset();
    }
    writeFileSync(join(paths.share, `initrd.img-${NEW}`), initrdOf("made anew"));
    expect(prepare()).toBe(`${NEW} by links`);
  });

  it("takes the same bytes under a new time for the same kernel", () => {
    upgrade();
    for (let i = 0; i < 2; i++) {
      prepare();
      beReset();
    }
    utimesSync(join(paths.share, `initrd.img-${NEW}`), new Date(), new Date(0));
    expect(prepare()).toBe(`${OLD} by good`);
    expect(passedOver()).toEqual([`${NEW}: it is bad: it was not good in 2 tries`]);
  });

  it("boots the best of the bad where nothing was ever good", () => {
    install(NEW);
    const boots = [1, 2, 3].map(() => {
      const chosen = prepare();
      beReset();
      return chosen;
    });
    expect(boots).toEqual(Array(3).fill(`${NEW} by highest`));
    expect(readState(paths).current?.why).toBe("nothing else is left, although it was never good");
    utimesSync(join(paths.share, `initrd.img-${NEW}`), new Date(), new Date(0));
    expect(prepare()).toBe(`${NEW} by highest`);
  });

  it("knows that the last attempt was good though nobody looked meanwhile", () => {
    upgrade();
    prepare();
    appendEvents(paths, [{ e: "started" }]);
    const id = "00000000-0000-4000-8000-000000000000";
    writeFileSync(paths.report, `up ${NEW} ${id}\ngood ${NEW} ${id}\nend reboot\n`);
    prepare();
    const { attempts, good, goodBefore } = readState(paths);
    expect(attempts[1]).toMatchObject({ reported: NEW, how: "reboot" });
    expect([good?.release, goodBefore?.release]).toEqual([NEW, OLD]);
  });

  it("keeps both good pairs, and boots the very pair that is pinned", async () => {
    upgrade();
    prepare();
    beGood();
    const { goodBefore } = readState(paths);
    // The guest has made another initrd for it since.
    writeFileSync(join(paths.share, `initrd.img-${OLD}`), initrdOf("made anew"));
    changePolicy(paths, { pin: OLD, pinPair: goodBefore?.id });
    expect(prepare()).toBe(`${OLD} by pin`);
    expect(readFileSync(paths.runInitrd)).toEqual(initrdOf(OLD));
    changePolicy(paths, { pinPair: null });
    expect(prepare()).toBe(`${OLD} by pin`);
    expect(readFileSync(paths.runInitrd)).toEqual(initrdOf("made anew"));
  });

  it("keeps the console of bad boots, the newest five", () => {
    upgrade();
    const consoles = [1, 2, 3, 4, 5, 6, 7].map((n) => {
      prepare();
      writeFileSync(paths.serialLog, `${"x".repeat(300_000)}console ${n}`);
      beReset();
      return `console ${n}`;
    });
    prepare();
    // QEMU never ran in that one, so the log is still that of the boot before it.
    prepare();
    const { attempts } = readState(paths);
    const kept = attempts.flatMap(({ id }) =>
      existsSync(paths.badLog(id)) ? [readFileSync(paths.badLog(id), "utf8")] : [],
    );
    expect(kept.map((text) => text.slice(-9))).toEqual(consoles.slice(2));
    expect(kept.map((text) => text.length)).toEqual(Array(5).fill(256 * 1024));
    expect(readdirSync(paths.badLogs)).toHaveLength(5);
  });

  it("gives a boot its time, on a clock that nobody sets", () => {
    install(OLD);
    prepareBoot(paths, "worker1", { ...AMD64, accel: "tcg" });
    const { current } = readState(paths);
    const { m } = presentMoment();
    expect(current?.timeout).toBe(1800);
    expect(current?.deadline).toBeGreaterThan(m + 1_700_000);
    expect(current?.deadline).toBeLessThanOrEqual(m + 1_800_000);
  });
});

describe("prepareBoot", () => {
  it("stages what the links name, plain files or real links", () => {
    install("6.1.0-9-amd64");
    install("6.1.0-10-amd64");
    link("6.1.0-9-amd64");
    expect(prepare()).toBe("6.1.0-9-amd64 by links");
    expect(readFileSync(paths.runKernel)).toEqual(kernelOf("6.1.0-9-amd64"));
    expect(readFileSync(paths.runInitrd)).toEqual(initrdOf("6.1.0-9-amd64"));
    for (const name of ["vmlinuz", "initrd.img"]) rmSync(join(paths.share, name));
    symlinkSync("vmlinuz-6.1.0-10-amd64", join(paths.share, "vmlinuz"));
    symlinkSync("initrd.img-6.1.0-10-amd64", join(paths.share, "initrd.img"));
    expect(prepare()).toBe("6.1.0-10-amd64 by links");
    expect(readFileSync(paths.runKernel)).toEqual(kernelOf("6.1.0-10-amd64"));
  });

  it("takes the highest version when there are no links", () => {
    install("6.1.0-9-amd64");
    install("6.1.0-10-amd64");
    expect(prepare()).toBe("6.1.0-10-amd64 by highest");
  });

  it("passes over a kernel whose initrd is still being written, though the links name it", () => {
    install("6.1.0-9-amd64");
    install("6.1.0-10-amd64", false);
    writeFileSync(join(paths.share, "initrd.img-6.1.0-10-amd64.new"), initrdOf("half"));
    link("6.1.0-10-amd64");
    expect(prepare()).toBe("6.1.0-9-amd64 by highest");
    const { current } = readState(paths);
    expect(current?.skipped.map(({ release }) => release)).toEqual(["6.1.0-10-amd64", "(links)"]);
    expect(current?.skipped[0]?.reason).toContain("initrd.img-6.1.0-10-amd64");
  });

  it("prefers a pinned release, and says when it cannot", async () => {
    install("6.1.0-9-amd64");
    install("6.1.0-10-amd64");
    link("6.1.0-10-amd64");
    changePolicy(paths, { pin: "6.1.0-9-amd64" });
    expect(prepare()).toBe("6.1.0-9-amd64 by pin");
    changePolicy(paths, { pin: "6.1.0-8-amd64" });
    expect(prepare()).toBe("6.1.0-10-amd64 by links");
    expect(readState(paths).current?.skipped).toEqual([
      { release: "6.1.0-8-amd64", reason: "it is pinned, and it is not in the guest's /boot" },
    ]);
  });

  it("boots what the host provided until the guest has an initrd of its own, and never after a good boot", () => {
    install("6.1.0-9-amd64", false);
    link("6.1.0-9-amd64");
    const initrd = join(paths.dir, "first-initrd.img");
    writeFileSync(initrd, initrdOf("first"));
    const kernel = join(paths.share, "vmlinuz-6.1.0-9-amd64");
    const pair = storeProvided(paths, "6.1.0-9-amd64", { kernel, initrd }, "amd64");
    appendEvents(paths, [{ e: "provided", pair }]);
    expect(prepare()).toBe("6.1.0-9-amd64 by provided");
    expect(readFileSync(paths.runInitrd)).toEqual(initrdOf("first"));
    // It was reset before it got anywhere: the pair is still there.
    expect(prepare()).toBe("6.1.0-9-amd64 by provided");
    install("6.1.0-9-amd64");
    expect(prepare()).toBe("6.1.0-9-amd64 by links");
    beGood();
    for (const name of readdirSync(paths.share)) rmSync(join(paths.share, name));
    expect(prepare()).toBe("6.1.0-9-amd64 by good");
    expect(readFileSync(paths.runInitrd)).toEqual(initrdOf("6.1.0-9-amd64"));
    expect(readdirSync(paths.pairs)).not.toContain(pair.id);
  });

  it("boots the last good pair when the share was emptied, or is gone", () => {
    install("6.1.0-9-amd64");
    prepare();
    beGood();
    for (const name of readdirSync(paths.share)) rmSync(join(paths.share, name));
    expect(prepare()).toBe("6.1.0-9-amd64 by good");
    rmSync(paths.share, { recursive: true });
    expect(prepare()).toBe("6.1.0-9-amd64 by good");
    expect(readFileSync(paths.runKernel)).toEqual(kernelOf("6.1.0-9-amd64"));
  });

  it("boots the last good pair when what the guest installed is for another machine, or cut short", () => {
    install("6.1.0-9-amd64");
    prepare();
    beGood();
    install("6.1.0-10-amd64");
    writeFileSync(join(paths.share, "vmlinuz-6.1.0-10-amd64"), zImage());
    rmSync(join(paths.share, "vmlinuz-6.1.0-9-amd64"));
    expect(prepare()).toBe("6.1.0-9-amd64 by good");
    writeFileSync(join(paths.share, "vmlinuz-6.1.0-10-amd64"), kernelOf("6.1.0-10-amd64").subarray(0, 600));
    expect(prepare()).toBe("6.1.0-9-amd64 by good");
  });

  it("refuses a start with nothing to boot, and leaves what was staged", () => {
    expect(() => prepare()).toThrow(
      "Nothing in the /boot of guest worker1 can be booted: it holds no kernel.",
    );
    install("6.1.0-9-amd64", false);
    expect(() => prepare()).toThrow(
      /Nothing in the \/boot of guest worker1 can be booted \(6\.1\.0-9-amd64: .*initrd/,
    );
    expect(existsSync(paths.runKernel)).toBe(false);
    expect(readEvents(paths).map(({ e }) => e)).toEqual(["refused", "refused"]);
  });

  describe("on a machine of 32-bit ARM", () => {
    const onPci: DomainMachine = { ...AMD64, arch: "armhf" };
    const onMmio: DomainMachine = { ...onPci, bus: "mmio", diskBus: "virtio-mmio" };
    const needsMmio =
      "needs devices on virtio-mmio, and the machine has them on PCI: it has no LPAE, so it cannot reach PCI devices above 4 GiB";
    const [armmp, lpae] = ["6.12.107+deb13-armmp", "6.12.107+deb13-armmp-lpae"] as const;

    function installArm(release: typeof armmp | typeof lpae, config = configText(release)): void {
      writeFileSync(join(paths.share, `vmlinuz-${release}`), Buffer.concat([zImage(), Buffer.from(release)]));
      writeFileSync(join(paths.share, `initrd.img-${release}`), initrdOf(release));
      writeFileSync(join(paths.share, `config-${release}`), config);
      link(release);
    }

    function refusal(machine: DomainMachine): UserError {
      try {
        prepare(machine);
      } catch (error) {
        if (error instanceof UserError) return error;
        throw error;
      }
      throw new Error("it was not refused");
    }

    it("boots a kernel that fits, though the links name one that does not, and records why", () => {
      installArm(lpae);
      installArm(armmp);
      expect(prepare(onPci)).toBe(`${lpae} by highest`);
      expect(readState(paths).current?.skipped).toEqual([{ release: armmp, reason: needsMmio }]);
      expect(prepare(onMmio)).toBe(`${armmp} by links`);
    });

    it("refuses a start for which only another layout would do, and says who changes it", () => {
      installArm(armmp);
      const { code, message, hint } = refusal(onPci);
      expect(code).toBe("NOTHING_BOOTABLE");
      expect(message).toBe(`Nothing in the /boot of guest worker1 can be booted (${armmp}: ${needsMmio}).`);
      expect(hint).toBe(
        `'bootshare start worker1' changes the machine for ${armmp}. Look at it with 'bootshare kernels worker1'.`,
      );
      expect(existsSync(paths.runKernel)).toBe(false);
    });

    it("refuses a kernel that has a driver for neither bus", () => {
      const config = configText(armmp).replace(/^CONFIG_(PCI_HOST_GENERIC|VIRTIO_MMIO)=.*\n/gm, "");
      installArm(armmp, config);
      for (const machine of [onPci, onMmio]) {
        const { message, hint } = refusal(machine);
        expect(message).toBe(
          `Nothing in the /boot of guest worker1 can be booted (${armmp}: fits no machine here: it has no driver for virt's PCI host (PCI_HOST_GENERIC), and no virtio-mmio (VIRTIO_MMIO) either).`,
        );
        expect(hint).toContain("put a kernel and its initrd into");
      }
    });

    it("never stages the last good pair into a machine that it does not fit", () => {
      installArm(armmp);
      prepare(onMmio);
      beGood();
      for (const name of readdirSync(paths.share)) rmSync(join(paths.share, name));
      expect(refusal(onPci).message).toContain(`(${armmp}: ${needsMmio})`);
      expect(prepare(onMmio)).toBe(`${armmp} by good`);
    });

    it("boots a kernel whose configuration cannot be read: nothing is known against it", () => {
      installArm(armmp, "CONFIG_PCI=y");
      expect(prepare(onPci)).toBe(`${armmp} by links`);
      expect(survey(paths, onPci).selection.candidates[0]?.notes).toEqual([
        `config-${armmp} is cut short: its last line does not end.`,
        `No configuration of ${armmp} was found to look at.`,
      ]);
    });
  });

  it("makes fresh files for every start, and keeps only the running and the last good pair", () => {
    // Held open, as QEMU holds them: the file system gives the inode of a file that is gone to the next one.
    const held: number[] = [];
    for (const release of ["6.1.0-9-amd64", "6.1.0-10-amd64", "6.1.0-11-amd64"]) {
      install(release);
      link(release);
      prepare();
      held.push(openSync(paths.runKernel, "r"));
      if (release === "6.1.0-9-amd64") beGood();
    }
    expect(new Set(held.map((file) => fstatSync(file).ino)).size).toBe(3);
    for (const file of held) closeSync(file);
    const { good, current } = readState(paths);
    expect(good?.release).toBe("6.1.0-9-amd64");
    expect(new Set(readdirSync(paths.pairs))).toEqual(new Set([good?.id, current?.pair.id]));
    expect(readdirSync(paths.run).sort()).toEqual(["initrd.img", "vmlinuz"]);
  });

  it("knows a pair by its bytes: an initrd that was made again is another pair", () => {
    install("6.1.0-9-amd64");
    prepare();
    const first = readState(paths).current?.pair.id;
    prepare();
    expect(readState(paths).current?.pair.id).toBe(first);
    writeFileSync(join(paths.share, "initrd.img-6.1.0-9-amd64"), initrdOf("made again"));
    prepare();
    expect(readState(paths).current?.pair.id).not.toBe(first);
  });

  it("notices a stored pair that has rotted", () => {
    install("6.1.0-9-amd64");
    prepare();
    beGood();
    const id = readState(paths).good?.id ?? "";
    truncateSync(join(paths.pairs, id, "vmlinuz"), 600);
    rmSync(paths.share, { recursive: true });
    expect(() => prepare()).toThrow("The stored copy of 6.1.0-9-amd64 is no longer whole.");
  });

  it("puts the report of the last attempt aside", () => {
    install("6.1.0-9-amd64");
    writeFileSync(paths.report, "end reboot\n");
    prepare();
    expect(readFileSync(paths.oldReport(1), "utf8")).toBe("end reboot\n");
    expect(existsSync(paths.report)).toBe(false);
  });

  it("cuts a log that has grown long, and forgets nothing that matters", () => {
    install("6.1.0-9-amd64");
    prepare();
    beGood();
    const line = "#".repeat(1023);
    writeFileSync(paths.boots, `${line}\n`.repeat(1025), { flag: "a" });
    prepare();
    expect(statSync(paths.boots).size).toBeLessThan(4096);
    expect(readState(paths)).toMatchObject({ desired: "on", good: { release: "6.1.0-9-amd64" } });
    expect(readState(paths).attempts).toHaveLength(2);
  });
});

describe("a restore", () => {
  it("is believed of the libvirtd that announced it, once, and not for long", () => {
    const now = presentMoment();
    const later = (seconds: number) => ({ ...now, m: now.m + seconds * 1000 });
    expect(takeRestoreNote(paths, "17", now)).toBe(false);
    noteRestore(paths, "17", now);
    expect(takeRestoreNote(paths, "17", later(1))).toBe(true);
    expect(takeRestoreNote(paths, "17", later(1))).toBe(false);
    noteRestore(paths, "17", now);
    expect(takeRestoreNote(paths, "18", later(1))).toBe(false);
    noteRestore(paths, "17", now);
    expect(takeRestoreNote(paths, "17", later(121))).toBe(false);
    writeFileSync(paths.restoring, "null");
    expect(takeRestoreNote(paths, "17", now)).toBe(false);
  });
});
