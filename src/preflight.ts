/**
 * Third entry: looks into one initrd and prints its facts, a line of JSON. It is started by preflight/run.ts, without rights
 * and under limits, with the initrd open as descriptor 3 and the limits as its argument.
 */
import { fstatSync } from "node:fs";
import { type LookLimits, lookInto } from "./preflight/look.ts";

/** The descriptor of the initrd. */
const FD = 3;

const limits = JSON.parse(process.argv[2] ?? "") as LookLimits;
process.stdout.write(`${JSON.stringify(await lookInto(FD, fstatSync(FD).size, limits))}\n`);
