/**
 * The guest of an accelerator trial on riscv64: a kernel for QEMU's `virt`, loaded as those of bootshare's guests are
 * (`-kernel`), which turns on address translation, runs the loop of trial-loop.ts, writes the sum to the serial port, and
 * powers off. In emulation the firmware runs first, and prints.
 *
 * Sources: RISC-V Instruction Set Manual, volumes I (RV64IM) and II (Sv39); RISC-V Supervisor Binary Interface (SRST);
 * QEMU hw/riscv/virt.c (virt_memmap). The words were checked against an assembler's.
 */
import { le32 } from "./le32.ts";
import { ADDRESS_MASK, LOOP_TURNS, MULTIPLIER, REST_MASK } from "./trial-loop.ts";

/** Sv39's page tables begin on a page of their own. */
const PAGE_TABLE = 0x1000;
const PAGE_BYTES = 0x1000;

/**
 * The first three blocks of 1 GiB, one to one: the devices, readable and writable; none; memory, where the image is,
 * executable too. All are marked as accessed and written (A, D), which some processors leave to the kernel.
 */
// biome-ignore format: one entry a line
const ENTRIES = [
  ...le32(0xc7), ...le32(0),
  ...le32(0), ...le32(0),
  ...le32(0x200000cf), ...le32(0),
];

/** Builds the image for a number of turns of the loop. It starts in supervisor mode. */
export function riscv64TrialImage(turns: number = LOOP_TURNS): Uint8Array {
  // biome-ignore format: one instruction a line
  const code = [
    0x10401073, //                         csrw  sie, zero
    0x00001297, //                         auipc t0, 1
    0xffc28293, //                         addi  t0, t0, -4 (the page tables)
    0x00c2d293, //                         srli  t0, t0, 12
    0xfff00313, //                         li    t1, -1
    0x03f31313, //                         slli  t1, t1, 63 (Sv39)
    0x0062e2b3, //                         or    t0, t0, t1
    0x18029073, //                         csrw  satp, t0
    0x12000073, //                         sfence.vma
    0x08100413, //                         li    s0, 0x81
    0x01841413, //                         slli  s0, s0, 24 (memory: 0x81000000)
    0x100004b7, //                         lui   s1, 0x10000 (16550: 0x10000000)
    ...load(18, MULTIPLIER), //            li    s2, MULTIPLIER
    ...load(19, turns), //                 li    s3, turns
    0x00000a13, //                         li    s4, 0
    ...load(21, ADDRESS_MASK), //          li    s5, ADDRESS_MASK
    ...load(22, REST_MASK), //             li    s6, REST_MASK
    0x032a0a3b, //                      1: mulw  s4, s4, s2
    0x013a0a3b, //                         addw  s4, s4, s3
    0x015a7333, //                         and   t1, s4, s5
    0x00830333, //                         add   t1, t1, s0
    0x00033383, //                         ld    t2, 0(t1)
    0x014383b3, //                         add   t2, t2, s4
    0x00733023, //                         sd    t2, 0(t1)
    0x0169f333, //                         and   t1, s3, s6
    0x00031863, //                         bnez  t1, 2f
    0x000483a3, //                         sb    zero, 7(s1) (scratch)
    0x18029073, //                         csrw  satp, t0
    0x12000073, //                         sfence.vma
    0xfff98993, //                      2: addi  s3, s3, -1
    0xfc0996e3, //                         bnez  s3, 1b
    0x00100313, //                         li    t1, 1
    0x00648123, //                         sb    t1, 2(s1) (FIFO, which has room for all)
    0x01c00313, //                         li    t1, 28
    0x006a53bb, //                      3: srlw  t2, s4, t1
    0x00f3f393, //                         andi  t2, t2, 15
    0x04138393, //                         addi  t2, t2, 'A'
    0x00748023, //                         sb    t2, 0(s1)
    0xffc30313, //                         addi  t1, t1, -4
    0xfe0356e3, //                         bgez  t1, 3b
    0x535258b7, //                         lui   a7, 0x53525
    0x35488893, //                         addi  a7, a7, 0x354 ("SRST")
    0x00000813, //                         li    a6, 0 (system reset)
    0x00000513, //                         li    a0, 0 (shutdown)
    0x00000593, //                         li    a1, 0
    0x00000073, //                         ecall
    0x10500073, //                      4: wfi
    0xffdff06f, //                         j     4b
  ];
  const bytes = new Uint8Array(PAGE_TABLE + PAGE_BYTES);
  bytes.set(code.flatMap(le32), 0);
  bytes.set(ENTRIES, PAGE_TABLE);
  return bytes;
}

/** `lui` and `addi`, which make a register hold a number below 2 GiB. `addi` takes 12 bits, the highest of them a sign. */
function load(register: number, value: number): [number, number] {
  const upper = (value + 0x800) >>> 12;
  const lower = value & 0xfff;
  return [
    upper * 0x1000 + register * 0x80 + 0x37,
    lower * 0x100000 + register * 0x8000 + register * 0x80 + 0x13,
  ];
}
