/** The ways of sharing that there are. A third way is one more file and one more line here. */
import { ninep } from "./ninep.ts";
import type { ShareTransport } from "./transport.ts";
import { virtiofs } from "./virtiofs.ts";

export const TRANSPORTS: Readonly<Record<ShareTransport["name"], ShareTransport>> = { "9p": ninep, virtiofs };

/** The transport of a name, as it stands in a guest's definition; undefined for any other text. */
export function transportNamed(name: string): ShareTransport | undefined {
  return Object.values(TRANSPORTS).find((transport) => transport.name === name);
}
