import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { UserError } from "../../../src/errors.ts";
import {
  aptSources,
  checkMirrorUrl,
  chooseMirrors,
  parseIndexTargets,
  requireKeyring,
} from "../../../src/provision/sources.ts";
import { findSuite } from "../../../src/provision/suites.ts";

const codeOf = (action: () => unknown): string => {
  try {
    action();
  } catch (error) {
    if (error instanceof UserError) return error.code;
    throw error;
  }
  return "none";
};

const archive = "http://mirror.example.org/debian";
const security = "http://security.example.org/debian-security";

describe("parseIndexTargets", () => {
  it("finds Debian's archives among others, without the slash at the end", () => {
    const text = [
      "Some Vendor|Debian|http://vendor.example.org/deb/",
      "Debian|Debian Backports|http://other.example.org/debian/",
      "||http://nobody.example.org/",
      `Debian|Debian|${archive}/`,
      `Debian|Debian|http://second.example.org/debian/`,
      `Debian|Debian-Security|${security}/`,
      "",
    ].join("\n");
    expect(parseIndexTargets(text)).toEqual({ archive, security });
  });

  it("passes over what a guest cannot use", () => {
    const text = `Debian|Debian|file:/srv/debian/\nDebian|Debian|cdrom://x/\nDebian|Debian|mirror+file:/etc/m/\nDebian|Debian|${archive}`;
    expect(parseIndexTargets(text)).toEqual({ archive, security: undefined });
  });

  it("never throws, and what it returns can stand in a line of sources", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (uri) => {
        const found = parseIndexTargets(`Debian|Debian|${uri}`).archive;
        if (found !== undefined) expect(found).toMatch(/^https?:\/\/\S+$/);
      }),
    );
  });
});

describe("chooseMirrors", () => {
  const host = { archive, security };
  const none = { archive: undefined, security: undefined };
  const own = "https://mine.example.org/debian";

  it.each([
    ["the host's own", host, { security: true }, { archive, security }],
    ["no security", host, { security: false }, { archive, security: undefined }],
    [
      "an own mirror, the host's security",
      host,
      { security: true, mirror: `${own}/` },
      { archive: own, security },
    ],
    ["both own", none, { security: true, mirror: own, securityMirror: security }, { archive: own, security }],
    ["own, no security", none, { security: false, mirror: own }, { archive: own, security: undefined }],
  ])("%s", (_name, mirrors, wishes, expected) => {
    for (const updates of [true, false]) {
      expect(chooseMirrors(mirrors, { ...wishes, updates })).toEqual({ ...expected, updates });
    }
  });

  it.each([
    ["NO_MIRROR", none, { security: true }],
    ["NO_SECURITY_MIRROR", none, { security: true, mirror: own }],
    ["MIRROR_INVALID", host, { security: true, mirror: "ftp://mirror.example.org/debian" }],
    ["MIRROR_INVALID", host, { security: true, securityMirror: "" }],
  ])("%s", (code, mirrors, wishes) => {
    expect(codeOf(() => chooseMirrors(mirrors, { ...wishes, updates: true }))).toBe(code);
  });
});

describe("checkMirrorUrl", () => {
  it.each([
    "",
    "mirror.example.org/debian",
    "file:///srv/debian",
    "http://",
    "http://mirror.example.org/debian trixie main",
    "http://mirror.example.org/debian\nSuites: sid",
    "http://user:secret@mirror.example.org/debian",
    "http://mirror.example.org/debian?x=1",
    "http://mirror.example.org/debian#x",
    "http://mirror.example.org/\u0000",
  ])("refuses %j", (url) => {
    expect(codeOf(() => checkMirrorUrl(url))).toBe("MIRROR_INVALID");
  });

  it("takes ports and IPv6", () => {
    expect(checkMirrorUrl("http://[2001:db8::1]:3142/debian//")).toBe("http://[2001:db8::1]:3142/debian");
  });
});

describe("aptSources", () => {
  it("is one stanza for the suite and its updates, and one for security", () => {
    expect(aptSources(findSuite("trixie"), { archive, security, updates: true })).toBe(`Types: deb
URIs: http://mirror.example.org/debian
Suites: trixie trixie-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://security.example.org/debian-security
Suites: trixie-security
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
`);
  });

  it("leaves the updates out when asked", () => {
    const text = aptSources(findSuite("trixie"), { archive, security, updates: false });
    expect(text.match(/^Suites:.*$/gm)).toEqual(["Suites: trixie", "Suites: trixie-security"]);
  });

  it("leaves security out when asked, and takes components", () => {
    const text = aptSources(findSuite("bookworm"), { archive, security: undefined, updates: true }, [
      "main",
      "non-free-firmware",
    ]);
    expect(text).not.toContain("security");
    expect(text).toContain("Components: main non-free-firmware\n");
  });
});

it("says which package has the keys", () => {
  expect(codeOf(() => requireKeyring("/nonexistent/keyring.gpg"))).toBe("NO_KEYRING");
});
