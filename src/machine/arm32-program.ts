/**
 * A program for armhf of a few bytes, to find out whether this machine's processor and kernel run such programs.
 *
 * Bytes 8 to 15 of an ELF file are padding that Linux does not look at. Two things come of what stands there:
 * - The entries that QEMU's user-mode emulators have in binfmt_misc ask for zeros, so no emulator takes this program.
 * - Where the kernel refuses it (ENOEXEC), execvp(3), which Node uses, gives it to /bin/sh. dash finds a line that it does
 *   not know, and then `exit 9`. bash looks for a zero byte in the first line, and finds none; a shell that looks further
 *   says "cannot execute" with 126.
 *
 * Sources: System V ABI, "ELF Header"; ELF for the Arm Architecture (e_flags); Linux, fs/binfmt_elf.c and
 * arch/arm64/include/asm/elf.h (compat_elf_check_arch); QEMU, scripts/qemu-binfmt-conf.sh.
 */
import { le32 } from "./le32.ts";

/** The program's own exit code. */
export const EXIT_RAN = 42;
/** The exit code of a shell that read the program as a script, and of one that saw that it is none. */
export const EXIT_SHELL = 9;
export const EXIT_BASH = 126;

/** A page of the largest size that arm64 kernels have: the file is mapped at this address, header and all. */
const BASE = 0x10000;
const ELF_HEADER_BYTES = 52;
const PROGRAM_HEADER_BYTES = 32;
const START = ELF_HEADER_BYTES + PROGRAM_HEADER_BYTES;

// biome-ignore format: one instruction a line
const CODE = [
  ...le32(0xe3a00000 + EXIT_RAN), //  mov   r0, EXIT_RAN
  ...le32(0xe3a07001), //             mov   r7, 1 (exit)
  ...le32(0xef000000), //             svc   0
];

/** The bytes of the program's file. */
export function armhfProgram(): Uint8Array {
  const size = START + CODE.length;
  // biome-ignore format: one field a line
  return Uint8Array.from([
    ...Buffer.from("\x7fELF\x01\x01\x01\x03"), // 32-bit, little-endian, version 1, for Linux (not 0, see above)
    ...Buffer.from(`\nexit ${EXIT_SHELL}\n`), // padding
    2, 0, 40, 0, // executable, for ARM
    ...le32(1), ...le32(BASE + START), // version, entry
    ...le32(ELF_HEADER_BYTES), ...le32(0), // program headers, no section headers
    ...le32(0x05000400), // EABI 5, hard float
    ELF_HEADER_BYTES, 0, PROGRAM_HEADER_BYTES, 0, 1, 0, 40, 0, 0, 0, 0, 0,
    ...le32(1), ...le32(0), ...le32(BASE), ...le32(BASE), // load the file, to BASE
    ...le32(size), ...le32(size), ...le32(5), ...le32(BASE), // all of it, readable and executable, aligned
    ...CODE,
  ]);
}
