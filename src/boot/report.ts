/**
 * The boot report: what a guest says of its boot on the port `org.bootshare.report`, a file on the host that belongs to
 * one boot attempt (the hook rotates it). It is the guest's own word: capped, parsed strictly, and of effect on that
 * guest alone.
 *
 * Lines: `up RELEASE BOOT_ID` (early in userspace), `good RELEASE BOOT_ID` (the boot gate was passed),
 * `end reboot|poweroff|halt|kexec` (when everything is unmounted). Any other line is passed over.
 */
import { closeSync, constants, fstatSync, openSync, readSync, renameSync, rmSync } from "node:fs";
import { errnoOf } from "../errors.ts";
import type { GuestPaths } from "../paths.ts";

export interface BootReport {
  /** Release of the first `up` or `good` line. */
  readonly up: string | undefined;
  /** Release of the last `good` line. */
  readonly good: string | undefined;
  /** The word of the last `end` line, unless a later `up` or `good` says that the guest came up again (kexec). */
  readonly end: "reboot" | "poweroff" | "halt" | "kexec" | undefined;
  /** When the file was last written, ISO 8601; undefined without a file. */
  readonly written: string | undefined;
}

export const NO_REPORT: BootReport = { up: undefined, good: undefined, end: undefined, written: undefined };

/** Only this many bytes of a report are read, from its beginning and from its end. */
export const REPORT_CAP_BYTES = 16 * 1024;
/** How many reports of earlier attempts are kept. */
const OLD_REPORTS = 3;

// A release as uname(2) gives it (at most 64 bytes), and a boot id as the kernel's random/boot_id gives it.
const RISEN = /^(up|good) ([A-Za-z0-9][A-Za-z0-9._+~-]{0,63}) [0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const ENDED = /^end (reboot|poweroff|halt|kexec)$/;

/** Parses the text of a report; never throws. */
export function parseReport(text: string): Omit<BootReport, "written"> {
  let up: string | undefined;
  let good: string | undefined;
  let end: BootReport["end"];
  for (const line of text.split("\n")) {
    const risen = RISEN.exec(line.replace(/\r$/, ""));
    if (risen !== null) {
      const release = risen[2];
      up ??= release;
      if (risen[1] === "good") good = release;
      end = undefined;
      continue;
    }
    const word = ENDED.exec(line.replace(/\r$/, ""))?.[1];
    if (word === "reboot" || word === "poweroff" || word === "halt" || word === "kexec") end = word;
  }
  return { up, good, end };
}

/** Reads the report of the present attempt. A missing file, or one that is no regular file, is an empty report. */
export function readReport(paths: GuestPaths): BootReport {
  let fd: number;
  try {
    fd = openSync(paths.report, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    const code = errnoOf(error);
    if (code === "ENOENT" || code === "ELOOP" || code === "ENXIO") return NO_REPORT;
    throw error;
  }
  try {
    const stat = fstatSync(fd);
    if (!stat.isFile()) return NO_REPORT;
    const head = readPart(fd, 0, REPORT_CAP_BYTES);
    const rest = stat.size - head.length;
    const tail =
      rest > 0 ? readPart(fd, Math.max(head.length, stat.size - REPORT_CAP_BYTES), REPORT_CAP_BYTES) : "";
    // Where a part was left out, the first piece of the tail is half a line: an end of line keeps it from joining.
    const gap = rest > REPORT_CAP_BYTES ? "\n#" : "";
    return { ...parseReport(head + gap + tail), written: stat.mtime.toISOString() };
  } finally {
    closeSync(fd);
  }
}

function readPart(fd: number, position: number, length: number): string {
  const buffer = Buffer.alloc(length);
  return buffer.toString("latin1", 0, readSync(fd, buffer, 0, length, position));
}

/** Puts the report of the last attempt aside, so that every line of the next one belongs to the next attempt. */
export function rotateReport(paths: GuestPaths): void {
  rmSync(paths.oldReport(OLD_REPORTS), { force: true });
  for (let n = OLD_REPORTS - 1; n >= 1; n--) renameIfThere(paths.oldReport(n), paths.oldReport(n + 1));
  renameIfThere(paths.report, paths.oldReport(1));
}

/** Removes the reports of earlier attempts; that of the last one stays. */
export function removeOldReports(paths: GuestPaths): void {
  for (let n = OLD_REPORTS; n >= 1; n--) rmSync(paths.oldReport(n), { force: true });
}

function renameIfThere(from: string, to: string): void {
  try {
    renameSync(from, to);
  } catch (error) {
    if (errnoOf(error) !== "ENOENT") throw error;
  }
}
