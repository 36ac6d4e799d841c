import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  parseAddresses,
  parseList,
  parseStates,
  parseStatuses,
  stateWords,
  virshError,
} from "../../../src/libvirt/virsh-output.ts";

const A = "0b5e5a7e-0000-4000-8000-000000000001";
const B = "0b5e5a7e-0000-4000-8000-000000000002";

// As virsh 9.0 printed it.
const PRINTED = `${A} exp-9p                        
${B} R&D it's <1>                  

--m--
${B} 

--m--
Domain: 'exp-9p'
  state.state=1
  state.reason=1

Domain: 'R&D it's <1>'
  state.state=5
  state.reason=2

`;

describe("parseStatuses", () => {
  test("puts list, saves and states together", () => {
    expect(parseStatuses(PRINTED, "--m--")).toEqual([
      { uuid: A, name: "exp-9p", state: "running", reason: "booted", saved: false },
      { uuid: B, name: "R&D it's <1>", state: "shut off", reason: "destroyed", saved: true },
    ]);
  });

  test("a domain that came in between has no state, one that went is not there", () => {
    const text = `${A} a\n\n--m--\n\n--m--\nDomain: 'b'\n  state.state=1\n  state.reason=1\n`;
    expect(parseStatuses(text, "--m--")).toEqual([
      { uuid: A, name: "a", state: "no state", reason: "unknown", saved: false },
    ]);
  });

  test("no domains at all", () => expect(parseStatuses("\n--m--\n\n--m--\n", "--m--")).toEqual([]));

  test("reads any text", () => {
    fc.assert(fc.property(fc.string({ unit: "binary" }), (text) => void parseStatuses(text, "--m--")));
  });

  test("a name that looks like a line of libvirt's is a name", () => {
    const text = `${A} Domain: 'x'\n\n--m--\n\n--m--\nDomain: 'Domain: 'x''\n  state.state=1\n  state.reason=1\n`;
    expect(parseStatuses(text, "--m--")).toMatchObject([{ name: "Domain: 'x'", state: "running" }]);
  });
});

test("parseList skips what is no domain", () => {
  expect(parseList(`\n Id Name\n${A} a b \n`)).toEqual([{ uuid: A, name: "a b" }]);
});

test("parseStates takes missing numbers for no state", () => {
  expect(parseStates("Domain: 'a'\n")).toEqual(new Map([["a", { state: "no state", reason: "unknown" }]]));
});

describe("stateWords", () => {
  test.each([
    [1, 1, "running", "booted"],
    [3, 5, "paused", "I/O error"],
    [4, 1, "in shutdown", "user"],
    [5, 0, "shut off", "unknown"],
    [5, 1, "shut off", "shutdown"],
    [5, 2, "shut off", "destroyed"],
    [5, 3, "shut off", "crashed"],
    [5, 5, "shut off", "saved"],
    [5, 6, "shut off", "failed"],
    [5, 8, "shut off", "daemon"],
    [6, 1, "crashed", "panicked"],
    [5, 99, "shut off", "unknown"],
    [99, 1, "unknown", "unknown"],
  ])("%i/%i is %s (%s)", (state, reason, word, why) => {
    expect(stateWords(state, reason)).toEqual({ state: word, reason: why });
  });
});

describe("parseAddresses", () => {
  const head = ` Name       MAC address          Protocol     Address
-------------------------------------------------------------------------------
`;
  test("takes IPv4 first, and nothing that only the guest itself can reach", () => {
    const text = `${head} lo         00:00:00:00:00:00    ipv4         127.0.0.1/8
 -          -                    ipv6         ::1/128
 enp2s0     52:54:00:12:34:56    ipv6         fe80::5054:ff:fe12:3456/64
 -          -                    ipv6         2001:db8::5/64
 -          -                    ipv4         192.0.2.7/24
`;
    expect(parseAddresses(text)).toEqual(["192.0.2.7", "2001:db8::5"]);
  });
  test("none", () => expect(parseAddresses(head)).toEqual([]));
});

describe("virshError", () => {
  const hook = (said: string): string =>
    `error: Failed to start domain 'w'\nerror: Hook script execution failed: internal error: Child process (LC_ALL=C PATH=/bin HOME=/root /etc/libvirt/hooks/qemu.d/bootshare w prepare begin -) unexpected exit status 1: ${said}\n`;
  test.each([
    [
      "error: failed to connect to the hypervisor\nerror: Failed to connect socket to '/var/run/libvirt/libvirt-sock': No such file or directory",
      "LIBVIRT_UNREACHABLE",
      5,
    ],
    ["error: failed to get domain '0b5e'", "GUEST_NOT_FOUND", 3],
    ["error: Domain not found: no domain with matching uuid 'x'", "GUEST_NOT_FOUND", 3],
    [
      "error: Failed to start domain 'w'\nerror: Requested operation is not valid: domain is already running",
      "GUEST_RUNNING",
      4,
    ],
    ["error: Domain is already active", "GUEST_RUNNING", 4],
    [
      "error: Failed to destroy domain 'w'\nerror: Requested operation is not valid: domain is not running",
      "GUEST_OFF",
      4,
    ],
    ["error: Guest agent is not responding: QEMU guest agent is not connected", "AGENT_UNAVAILABLE", 4],
    ["error: operation failed: domain 'w' already exists with uuid 0b5e", "DOMAIN_EXISTS", 4],
    [hook("bootshare: Nothing in the /boot of guest w can be booted."), "HOOK_REFUSED_START", 4],
    [hook("another hook's line"), "HOOK_REFUSED_START", 4],
    ["error: something new", "LIBVIRT_FAILED", 1],
    ["", "LIBVIRT_FAILED", 1],
  ])("%j", (stderr, code, exitCode) => {
    expect(virshError("start", stderr)).toMatchObject({ code, exitCode });
  });

  test("a refusal carries the hook's own line and nothing of libvirt's", () => {
    expect(virshError("start", hook("bootshare: Nothing boots. Look at it.\n")).message).toBe(
      "Nothing boots. Look at it.",
    );
  });

  test("a refusal of another hook is shown, and not taken for ours", () => {
    const error = virshError("start", hook("no disk today"));
    expect(error.message).not.toContain("no disk today");
    expect(error.detail).toContain("no disk today");
  });

  test("what a guest may have put there is escaped", () => {
    expect(virshError("start", hook("bootshare: a\x1b[2J\u202e")).message).toBe("a\\x1b[2J\\u202e");
    expect(virshError("start", "error: \x1b[2J").detail).toBe("error: \\x1b[2J");
  });
});
