/** What a preseed file is made of, in tests. */
import type { PreseedFacts } from "../../../../src/provision/installer/preseed.ts";
import { findSuite } from "../../../../src/provision/suites.ts";

export const FACTS: PreseedFacts = {
  suite: findSuite("trixie"),
  hostname: "inst-1",
  mirrors: {
    archive: "http://mirror.example.org/debian",
    security: "http://mirror.example.org/debian-security",
    updates: true,
  },
  proxy: undefined,
  kernelPackage: "linux-image-amd64",
  interactive: false,
  own: undefined,
};
