import type { ReachableGuest } from "../../../src/guest/in-guest.ts";
import { guestPathsOf } from "../../../src/paths.ts";

const UUID = "11111111-2222-4333-8444-555555555555";
/** A guest that a stand-in for ssh reaches: nobody listens there. */
export const guest: ReachableGuest = {
  uuid: UUID,
  name: "g",
  status: { state: "running", reason: "booted", saved: false },
  paths: guestPathsOf(UUID),
  endpoint: { host: "127.0.0.1", port: 1 },
};
