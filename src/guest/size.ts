/** Sizes as people write them. */
import { EXIT, UserError } from "../errors.ts";
import { printable } from "../text.ts";

const UNITS: Readonly<Record<string, number>> = { K: 2 ** 10, M: 2 ** 20, G: 2 ** 30, T: 2 ** 40 };

/**
 * Reads a size such as `512M`, `8G`, `1.5GiB`: binary units, whatever way they are written.
 *
 * @param unit taken where none is written
 * @returns bytes
 * @throws {UserError} `USAGE`
 */
export function parseSize(text: string, option: string, unit: "M" | "G"): number {
  const match = /^(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?$/i.exec(text.trim());
  const factor = UNITS[match?.[2]?.toUpperCase() || unit];
  const value = Number(match?.[1]) * (factor ?? Number.NaN);
  if (Number.isFinite(value) && value > 0) return Math.round(value);
  throw new UserError("USAGE", `${option}: ${printable(text)} is no size.`, {
    exitCode: EXIT.usage,
    hint: `Write a number with a unit, for example ${option} ${unit === "M" ? "2048M or 2G" : "16G"}.`,
  });
}
