/** The order of kernel releases: dpkg's order of version numbers. */

/**
 * Compares two kernel releases by dpkg's algorithm (deb-version(7), "Sorting algorithm"), which is also that of
 * `linux-version sort` and so of Debian's own choice of the newest kernel. Agrees with `dpkg --compare-versions` on
 * every text that dpkg takes for a version; for any other text it still is a total preorder.
 *
 * Two different texts can be equal in this order (`6.01`, `6.1`).
 */
export function compareVersions(a: string, b: string): -1 | 0 | 1 {
  const x = split(a);
  const y = split(b);
  return (
    comparePart(x.epoch, y.epoch) ||
    comparePart(x.upstream, y.upstream) ||
    comparePart(x.revision, y.revision)
  );
}

/** `[epoch:]upstream[-revision]`: the epoch ends at the first colon, the revision begins after the last hyphen. */
function split(version: string): { epoch: string; upstream: string; revision: string } {
  const colon = version.indexOf(":");
  const rest = version.slice(colon + 1);
  const hyphen = rest.lastIndexOf("-");
  return {
    epoch: colon < 0 ? "" : version.slice(0, colon),
    upstream: hyphen < 0 ? rest : rest.slice(0, hyphen),
    revision: hyphen < 0 ? "" : rest.slice(hyphen + 1),
  };
}

/** Alternates between a run of other characters and a run of digits, from the left, until something differs. */
function comparePart(a: string, b: string): -1 | 0 | 1 {
  let i = 0;
  let j = 0;
  while (i < a.length || j < b.length) {
    while (weight(a, i) !== 0 || weight(b, j) !== 0) {
      const difference = weight(a, i) - weight(b, j);
      if (difference !== 0) return difference < 0 ? -1 : 1;
      i++;
      j++;
    }
    const x = digits(a, i);
    const y = digits(b, j);
    const order = compareNumbers(x, y);
    if (order !== 0) return order;
    i += x.length;
    j += y.length;
  }
  return 0;
}

/** A tilde sorts before everything, even the end; then the end and digits, then letters, then the rest. */
function weight(text: string, index: number): number {
  const char = text[index];
  if (char === undefined || /[0-9]/.test(char)) return 0;
  if (char === "~") return -1;
  return /[A-Za-z]/.test(char) ? char.charCodeAt(0) : char.charCodeAt(0) + 256;
}

function digits(text: string, from: number): string {
  let end = from;
  while (/[0-9]/.test(text[end] ?? "")) end++;
  return text.slice(from, end);
}

/** Numbers of any length, as text: a guest may write more digits than a number holds. */
function compareNumbers(a: string, b: string): -1 | 0 | 1 {
  const x = a.replace(/^0+/, "");
  const y = b.replace(/^0+/, "");
  if (x.length !== y.length) return x.length < y.length ? -1 : 1;
  if (x === y) return 0;
  return x < y ? -1 : 1;
}
