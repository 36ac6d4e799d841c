/** Versions of programs, as far as they matter: two numbers. */
export type Version = readonly [major: number, minor: number];

/** Reads the two numbers that the first group and the second group of a match hold. */
export function versionOf(match: RegExpExecArray): Version {
  return [Number(match[1]), Number(match[2])];
}

export function isOlder([major, minor]: Version, than: Version): boolean {
  return major < than[0] || (major === than[0] && minor < than[1]);
}
