/**
 * The guests of accelerator trials on ARM, 64-bit and 32-bit: kernels for QEMU's `virt`, loaded as those of bootshare's
 * guests are (`-kernel`), which do what any kernel does first: turn on address translation and the caches. Then they run the
 * loop of trial-loop.ts, write the sum to the serial port, and power off.
 *
 * Under KVM an access to a device is emulated from the syndrome that the processor gives, and it gives none for
 * instructions that change their address register: here all of them are plain stores of one register.
 *
 * Sources: Arm Architecture Reference Manual for A-profile (DDI 0487); Linux, Documentation/arch/arm64/booting.rst
 * (header of an Image) and Documentation/arch/arm/booting.rst; PrimeCell UART PL011 (DDI 0183); Power State Coordination
 * Interface (DEN 0022), SYSTEM_OFF; QEMU hw/arm/virt.c (base_memmap). The words were checked against an assembler's.
 */
import { le32 } from "./le32.ts";
import { ADDRESS_MASK, LOOP_TURNS, MULTIPLIER, REST_MASK } from "./trial-loop.ts";

/**
 * Page tables, at level 1: four blocks of 1 GiB, one to one, in the long format, which both have (DDI 0487, D8.3 and
 * G5.5). The first block is the devices', never executed; the second is memory, cached, where the image is; the others
 * are not there. Attribute 0 of MAIR is device memory, attribute 1 is normal memory, write-back (0xff).
 */
// biome-ignore format: one descriptor a line
const PAGE_TABLE = [
  ...le32(0x00000401), ...le32(0x00600000),
  ...le32(0x40000705), ...le32(0x00000000),
  ...le32(0), ...le32(0),
  ...le32(0), ...le32(0),
];
const PAGE_TABLE_BYTES = 32;

/** Where the table is in each image: aligned to its size, behind the code. */
const ARM64_TABLE = 0x140;
const ARMHF_TABLE = 0x100;

/** What Image kernels begin with; QEMU and boot loaders go by it. */
// biome-ignore format: one field a line
const ARM64_HEADER = [
  ...le32(0x14000010), ...le32(0), //     b     64, behind the header
  ...le32(0), ...le32(0), //              from a multiple of 2 MiB, this far
  ...le32(0x1000), ...le32(0), //         bytes that the image takes
  ...le32(0), ...le32(0), //              little-endian
  ...le32(0), ...le32(0),
  ...le32(0), ...le32(0),
  ...le32(0), ...le32(0),
  0x41, 0x52, 0x4d, 0x64, ...le32(0), //  "ARMd"
];

/** The 64-bit guest, for a number of turns of the loop. It starts at EL1. */
export function arm64TrialImage(turns: number = LOOP_TURNS): Uint8Array {
  // biome-ignore format: one instruction a line
  return image(ARM64_HEADER, ARM64_TABLE, [
    0xd5034fdf, //                         msr   daifset, 15
    0x100007e0, //                         adr   x0, table
    0xd29fe001, //                         mov   x1, 0xff00
    0xd518a201, //                         msr   mair_el1, x1
    // 32-bit addresses through TTBR0 in pages of 4 KiB, the table itself in cached memory; none through TTBR1.
    0xd286a401, //                         mov   x1, 0x3520
    0xf2a01001, //                         movk  x1, 0x80, lsl 16
    0xd5182041, //                         msr   tcr_el1, x1
    0xd5182000, //                         msr   ttbr0_el1, x0
    0xd5033fdf, //                         isb
    0xd508871f, //                         tlbi  vmalle1
    0xd503379f, //                         dsb   nsh
    0xd5033fdf, //                         isb
    0xd5381001, //                         mrs   x1, sctlr_el1
    0xd28200a2, //                         mov   x2, 0x1005 (translation, data cache, instruction cache)
    0xaa020021, //                         orr   x1, x1, x2
    0xd5181001, //                         msr   sctlr_el1, x1
    0xd5033fdf, //                         isb
    0xd2a82003, //                         mov   x3, 0x41000000 (memory)
    0xd2a12004, //                         mov   x4, 0x09000000 (PL011)
    a64.movz(5, MULTIPLIER), //            mov   w5, low half of MULTIPLIER
    a64.movk(5, MULTIPLIER), //            movk  w5, high half, lsl 16
    a64.movz(6, turns), //                 mov   w6, low half of turns
    a64.movk(6, turns), //                 movk  w6, high half, lsl 16
    0x52800007, //                         mov   w7, 0
    a64.movz(10, ADDRESS_MASK), //         mov   w10, low half of ADDRESS_MASK
    a64.movk(10, ADDRESS_MASK), //         movk  w10, high half, lsl 16
    a64.movz(11, REST_MASK), //            mov   w11, REST_MASK
    0x1b0518e7, //                      1: madd  w7, w7, w5, w6
    0x0a0a00e8, //                         and   w8, w7, w10
    0xf8686869, //                         ldr   x9, [x3, x8]
    0x8b070129, //                         add   x9, x9, x7
    0xf8286869, //                         str   x9, [x3, x8]
    0x6a0b00df, //                         tst   w6, w11
    0x540000e1, //                         b.ne  2f
    0xb900249f, //                         str   wzr, [x4, 0x24] (UARTIBRD: QEMU has no baud rate)
    0xd5182000, //                         msr   ttbr0_el1, x0
    0xd5033fdf, //                         isb
    0xd508871f, //                         tlbi  vmalle1
    0xd503379f, //                         dsb   nsh
    0xd5033fdf, //                         isb
    0x710004c6, //                      2: subs  w6, w6, 1
    0x54fffe41, //                         b.ne  1b
    0x52800e06, //                         mov   w6, 0x70
    0xb9002c86, //                         str   w6, [x4, 0x2c] (UARTLCR_H: 8 bits, FIFO, which has room for all)
    0x52802026, //                         mov   w6, 0x101
    0xb9003086, //                         str   w6, [x4, 0x30] (UARTCR: on, transmit)
    0x52800106, //                         mov   w6, 8
    0x138770e7, //                      3: ror   w7, w7, 28
    0x12000ce8, //                         and   w8, w7, 15
    0x11010508, //                         add   w8, w8, 'A'
    0xb9000088, //                         str   w8, [x4]
    0x710004c6, //                         subs  w6, w6, 1
    0x54ffff61, //                         b.ne  3b
    0x52800100, //                         mov   w0, 8
    0x72b08000, //                         movk  w0, 0x8400, lsl 16 (SYSTEM_OFF)
    0xd4000002, //                         hvc   0
    0xd503207f, //                      4: wfi
    0x17ffffff, //                         b     4b
  ]);
}

/**
 * The 32-bit guest, for a number of turns of the loop. It starts in ARM state (not Thumb), in supervisor mode. Its processor
 * has LPAE: every ARMv8 one has, and of ARMv7 those that KVM ran on.
 */
export function armhfTrialImage(turns: number = LOOP_TURNS): Uint8Array {
  // biome-ignore format: one instruction a line
  return image([], ARMHF_TABLE, [
    0xf10c01c0, //                         cpsid aif
    0xe28f00f4, //                         adr   r0, table
    0xe3a01000, //                         mov   r1, 0
    // The long format, all addresses through TTBR0, the table itself in cached memory.
    0xe3032500, //                         movw  r2, 0x3500
    0xe3482000, //                         movt  r2, 0x8000
    0xee022f50, //                         mcr   p15, 0, r2, c2, c0, 2 (TTBCR)
    0xe3a02cff, //                         mov   r2, 0xff00
    0xee0a2f12, //                         mcr   p15, 0, r2, c10, c2, 0 (MAIR0)
    0xec410f02, //                         mcrr  p15, 0, r0, r1, c2 (TTBR0)
    0xf57ff06f, //                         isb
    0xee081f17, //                         mcr   p15, 0, r1, c8, c7, 0 (TLBIALL)
    0xf57ff04f, //                         dsb
    0xf57ff06f, //                         isb
    0xee112f10, //                         mrc   p15, 0, r2, c1, c0, 0 (SCTLR)
    0xe3013005, //                         movw  r3, 0x1005 (translation, data cache, instruction cache)
    0xe1822003, //                         orr   r2, r2, r3
    0xee012f10, //                         mcr   p15, 0, r2, c1, c0, 0
    0xf57ff06f, //                         isb
    0xe3a03441, //                         mov   r3, 0x41000000 (memory)
    0xe3a04409, //                         mov   r4, 0x09000000 (PL011)
    a32.movw(5, MULTIPLIER), //            movw  r5, low half of MULTIPLIER
    a32.movt(5, MULTIPLIER), //            movt  r5, high half
    a32.movw(6, turns), //                 movw  r6, low half of turns
    a32.movt(6, turns), //                 movt  r6, high half
    0xe3a07000, //                         mov   r7, 0
    a32.movw(10, ADDRESS_MASK), //         movw  r10, low half of ADDRESS_MASK
    a32.movt(10, ADDRESS_MASK), //         movt  r10, high half
    a32.movw(11, REST_MASK), //            movw  r11, REST_MASK
    0xe0276597, //                      1: mla   r7, r7, r5, r6
    0xe007800a, //                         and   r8, r7, r10
    0xe7939008, //                         ldr   r9, [r3, r8]
    0xe0899007, //                         add   r9, r9, r7
    0xe7839008, //                         str   r9, [r3, r8]
    0xe116000b, //                         tst   r6, r11
    0x1a000005, //                         bne   2f
    0xe5841024, //                         str   r1, [r4, 0x24] (UARTIBRD: QEMU has no baud rate)
    0xec410f02, //                         mcrr  p15, 0, r0, r1, c2 (TTBR0)
    0xf57ff06f, //                         isb
    0xee081f17, //                         mcr   p15, 0, r1, c8, c7, 0 (TLBIALL)
    0xf57ff04f, //                         dsb
    0xf57ff06f, //                         isb
    0xe2566001, //                      2: subs  r6, r6, 1
    0x1afffff0, //                         bne   1b
    0xe3a06070, //                         mov   r6, 0x70
    0xe584602c, //                         str   r6, [r4, 0x2c] (UARTLCR_H: 8 bits, FIFO, which has room for all)
    0xe3006101, //                         movw  r6, 0x101
    0xe5846030, //                         str   r6, [r4, 0x30] (UARTCR: on, transmit)
    0xe3a06008, //                         mov   r6, 8
    0xe1a07e67, //                      3: ror   r7, r7, 28
    0xe207800f, //                         and   r8, r7, 15
    0xe2888041, //                         add   r8, r8, 'A'
    0xe5848000, //                         str   r8, [r4]
    0xe2566001, //                         subs  r6, r6, 1
    0x1afffff9, //                         bne   3b
    0xe3000008, //                         movw  r0, 8
    0xe3480400, //                         movt  r0, 0x8400 (SYSTEM_OFF)
    0xe1400070, //                         hvc   0
    0xe320f003, //                      4: wfi
    0xeafffffd, //                         b     4b
  ]);
}

/** A64's moves of half a number into a 32-bit register: the low half, which clears the other, and the high half. */
const a64 = {
  movz: (register: number, value: number) => 0x52800000 + (value & 0xffff) * 32 + register,
  movk: (register: number, value: number) => 0x72a00000 + (value >>> 16) * 32 + register,
} as const;

/** A32's moves of half a number into a register: the low half, which clears the other, and the high half. */
const a32 = {
  movw: (register: number, value: number) => 0xe3000000 + a32.operands(register, value & 0xffff),
  movt: (register: number, value: number) => 0xe3400000 + a32.operands(register, value >>> 16),
  operands: (register: number, half: number) => (half >>> 12) * 0x10000 + register * 0x1000 + (half & 0xfff),
} as const;

function image(header: readonly number[], table: number, code: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(table + PAGE_TABLE_BYTES);
  bytes.set(header, 0);
  bytes.set(code.flatMap(le32), header.length);
  bytes.set(PAGE_TABLE, table);
  return bytes;
}
