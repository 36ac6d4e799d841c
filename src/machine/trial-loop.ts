/**
 * The work that the guest of every accelerator trial does: a loop that mixes arithmetic with memory over 32 MiB, and every
 * so often leaves the guest and reloads its page tables, as a kernel's work does.
 */

/** Turns of the loop: about a second under TCG, so that QEMU's own start does not count for much beside it. */
export const LOOP_TURNS = 4_000_000;
/** Each turn makes `sum * MULTIPLIER + turns left` of the sum, in 32 bits. */
export const MULTIPLIER = 0x19660d;
/** These bits of the sum are where in the 32 MiB a turn adds to memory. */
export const ADDRESS_MASK = 0x1fffff8;
/** Where these bits of the turns left are 0, a turn touches a device and loads the page tables anew. */
export const REST_MASK = 0x3fff;

/** The sum after the loop. */
export function loopSum(turns: number): number {
  let sum = 0;
  for (let count = turns; count > 0; count--) sum = (Math.imul(sum, MULTIPLIER) + count) >>> 0;
  return sum;
}

/** A sum as guests write it on a serial port: a letter from A to P for each 4 bits, the highest first. */
export function sumText(sum: number): string {
  const hex = sum.toString(16).padStart(8, "0");
  return [...hex].map((digit) => String.fromCharCode(65 + Number.parseInt(digit, 16))).join("");
}
