/**
 * The guest of an accelerator trial on x86: a firmware image of 64 KiB that does what any kernel does first, then
 * counts for a while, and ends QEMU with an exit code that only its own code can have produced.
 *
 * From the reset vector it goes through real mode, protected mode and paging into 64-bit mode (for i386: 32-bit mode
 * with PAE), because that is where half-working KVM shows: on a machine of this project's authors, KVM runs real mode
 * without a fault and never comes out of the jump into 64-bit mode. There it runs the loop of trial-loop.ts, with port
 * output and reloads of CR3, and compares the sum with the one computed here.
 *
 * Sources: Intel SDM volume 3 sections 4.4 (PAE paging), 9.8.5 (entering IA-32e mode) and 10.1.4 (first instruction after
 * reset); QEMU hw/misc/debugexit.c (exit code `value << 1 | 1`).
 */
import { le32 } from "./le32.ts";
import { ADDRESS_MASK, LOOP_TURNS, loopSum, MULTIPLIER, REST_MASK } from "./trial-loop.ts";

/** The port of QEMU's isa-debug-exit device in the trial. */
export const EXIT_PORT = 0xf4;
/** QEMU's exit code when the guest counted right: 0x2a << 1 | 1. QEMU itself ends with 0 or 1. */
export const EXIT_COUNTED_RIGHT = 85;
/** QEMU's exit code when the guest's sum differs: 0x2b << 1 | 1. */
export const EXIT_COUNTED_WRONG = 87;

const IMAGE_BYTES = 0x10000;
/** Where the last 64 KiB below 1 MiB begin: the processor sees the image there too. */
const IMAGE_BASE = 0xf0000;
const RESET_VECTOR = 0xfff0;
const GDT = 0x90;
const COUNTING = 0xa6;

/** What differs between the two modes that the guest can count in. All of it is of one length: the rest stays in place. */
interface Mode {
  /** CR3. The table of 4 levels is at 0x10000, that of PAE's 3 levels at 0x11000. */
  readonly cr3: number;
  /** The entry for the lowest 1 GiB, at 0x11000. In PAE its bits for writing and users must be 0. */
  readonly entry: number;
  /** What is switched on in EFER: LME. */
  readonly efer: number;
  /** The size of code, in its descriptor: L or D. */
  readonly code: number;
  /** The prefix of a 64-bit operand, or an instruction that does nothing in its place. */
  readonly prefix: number;
}
const LONG: Mode = { cr3: 0x10000, entry: 0x12003, efer: 0x100, code: 0xaf, prefix: 0x48 };
const PAE: Mode = { cr3: 0x11000, entry: 0x12001, efer: 0, code: 0xcf, prefix: 0x90 };

/** The image that counts in 64-bit mode, for a number of turns of the loop. */
export function amd64TrialImage(turns: number = LOOP_TURNS): Uint8Array {
  return imageOf(LONG, turns);
}

/** The image that counts in 32-bit mode with PAE, as Debian's i386 kernels run: QEMU's i386 has no 64-bit mode. */
export function i386TrialImage(turns: number = LOOP_TURNS): Uint8Array {
  return imageOf(PAE, turns);
}

function imageOf(mode: Mode, turns: number): Uint8Array {
  const image = new Uint8Array(IMAGE_BYTES);
  image.set(realMode(mode), 0);
  image.set(descriptors(mode), GDT);
  image.set(counting(mode, turns, loopSum(turns)), COUNTING);
  image.set(resetVector, RESET_VECTOR);
  return image;
}

// biome-ignore format: one instruction a line
const resetVector = [
  0xea, 0x00, 0x00, 0x00, 0xf0, //                          ljmp  0xf000:0
];

function realMode(mode: Mode): number[] {
  // biome-ignore format: one instruction a line
  return [
    0xfa, //                                                  cli
    0xfc, //                                                  cld
    0x31, 0xc0, //                                            xor   ax, ax
    0x8e, 0xd8, //                                            mov   ds, ax
    0x8e, 0xc0, //                                            mov   es, ax
    0x8e, 0xd0, //                                            mov   ss, ax
    0xbc, 0x00, 0x70, //                                      mov   sp, 0x7000
    // Page tables at 0x10000, 0x11000 and 0x12000: the first 128 MiB, in pages of 2 MiB, one to one.
    0xb8, 0x00, 0x10, //                                      mov   ax, 0x1000
    0x8e, 0xc0, //                                            mov   es, ax
    0x31, 0xff, //                                            xor   di, di
    0x66, 0x31, 0xc0, //                                      xor   eax, eax
    0xb9, 0x00, 0x0c, //                                      mov   cx, 0xc00
    0x66, 0xf3, 0xab, //                                      rep stosd
    0x26, 0x66, 0xc7, 0x06, 0x00, 0x00, ...le32(0x11003), //  mov   dword es:[0], 0x11003
    0x26, 0x66, 0xc7, 0x06, 0x00, 0x10, ...le32(mode.entry), //  mov   dword es:[0x1000], entry
    0xbf, 0x00, 0x20, //                                      mov   di, 0x2000
    0x66, 0xb8, ...le32(0x83), //                             mov   eax, 0x83
    0xb9, 0x40, 0x00, //                                      mov   cx, 64
    0x26, 0x66, 0x89, 0x05, //                             1: mov   es:[di], eax
    0x66, 0x05, ...le32(0x200000), //                         add   eax, 0x200000
    0x83, 0xc7, 0x08, //                                      add   di, 8
    0xe2, 0xf1, //                                            loop  1b
    // CR4.PAE and PGE, CR3, EFER, then CR0.PE and PG at once.
    0x66, 0xb8, ...le32(0xa0), //                             mov   eax, 0xa0
    0x0f, 0x22, 0xe0, //                                      mov   cr4, eax
    0x66, 0xb8, ...le32(mode.cr3), //                         mov   eax, cr3
    0x0f, 0x22, 0xd8, //                                      mov   cr3, eax
    0x66, 0xb9, ...le32(0xc0000080), //                       mov   ecx, 0xc0000080
    0x0f, 0x32, //                                            rdmsr
    0x0d, mode.efer & 0xff, mode.efer >>> 8, //                or    ax, efer
    0x0f, 0x30, //                                            wrmsr
    0x2e, 0x66, 0x0f, 0x01, 0x16, 0xa0, 0x00, //              lgdtd cs:[0xa0]
    0x0f, 0x20, 0xc0, //                                      mov   eax, cr0
    0x66, 0x0d, ...le32(0x80000001), //                       or    eax, 0x80000001
    0x0f, 0x22, 0xc0, //                                      mov   cr0, eax
    0x66, 0xea, ...le32(IMAGE_BASE + COUNTING), 0x08, 0x00, // ljmp  8:counting
  ];
}

function descriptors(mode: Mode): number[] {
  // biome-ignore format: one descriptor a line
  return [
    0xff, 0xff, 0x00, 0x00, 0x00, 0x9a, mode.code, 0x00, //   8: code
    0xff, 0xff, 0x00, 0x00, 0x00, 0x92, 0xcf, 0x00, //        16: data
    0x17, 0x00, ...le32(IMAGE_BASE + GDT - 8), //             the table's limit and address (its first entry is unused)
  ];
}

/** @param turns of the loop  @param sum what EBX must be after it */
function counting(mode: Mode, turns: number, sum: number): number[] {
  // biome-ignore format: one instruction a line
  return [
    0xb8, ...le32(16), //                                   mov   eax, 16
    0x8e, 0xd8, //                                          mov   ds, eax
    0x8e, 0xc0, //                                          mov   es, eax
    0x8e, 0xd0, //                                          mov   ss, eax
    0x31, 0xdb, //                                          xor   ebx, ebx
    0xb9, ...le32(turns), //                                mov   ecx, turns
    0x69, 0xdb, ...le32(MULTIPLIER), //                  1: imul  ebx, ebx, MULTIPLIER
    0x01, 0xcb, //                                          add   ebx, ecx
    0x89, 0xdf, //                                          mov   edi, ebx
    0x81, 0xe7, ...le32(ADDRESS_MASK), //              and   edi, ADDRESS_MASK
    mode.prefix, 0x01, 0x9f, ...le32(0x200000), //          add   [rdi + 0x200000], rbx
    0xf7, 0xc1, ...le32(REST_MASK), //                 test  ecx, REST_MASK
    0x75, 0x08, //                                          jnz   2f
    0xe6, 0x80, //                                          out   0x80, al
    0x0f, 0x20, 0xd8, //                                    mov   rax, cr3
    0x0f, 0x22, 0xd8, //                                    mov   cr3, rax
    0xff, 0xc9, //                                       2: dec   ecx
    0x75, 0xd5, //                                          jnz   1b
    0x81, 0xfb, ...le32(sum), //                            cmp   ebx, sum
    0xb0, 0x2a, //                                          mov   al, 0x2a
    0x74, 0x02, //                                          jz    3f
    0xb0, 0x2b, //                                          mov   al, 0x2b
    0xe6, EXIT_PORT, //                                  3: out   EXIT_PORT, al
    0xf4, //                                             4: hlt
    0xeb, 0xfd, //                                          jmp   4b
  ];
}
