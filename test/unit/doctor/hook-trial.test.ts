import { expect, test } from "vitest";
import { parseDomain } from "../../../src/libvirt/domain-parse.ts";
import { type HookTrial, judgeHookTrial, trialDomainXml } from "../../../src/libvirt/hook-trial.ts";
import { virshError } from "../../../src/libvirt/virsh-output.ts";
import { machineShape } from "../../../src/machine/shape.ts";
import { METADATA_NAMESPACE } from "../../../src/paths.ts";
import { UUID } from "./machine.ts";

test("the trial's domain is one that the hook takes for a guest, with a kernel that is not there", () => {
  const xml = trialDomainXml(UUID, "bootshare-doctor-1", machineShape("arm64", "tcg"));
  const facts = parseDomain(xml);
  expect(facts).toMatchObject({ uuid: UUID, foreign: false, copyOf: undefined, accel: "tcg", arch: "arm64" });
  expect(facts.kernel).toBe(`/var/lib/bootshare/guests/${UUID}/run/vmlinuz`);
  // What the guard looks for.
  expect(xml).toContain(METADATA_NAMESPACE);
});

// As libvirt 9.0 and the hook said it on a real machine.
const FAILED = "error: Failed to create domain from /tmp/bootshare-doctor-x/domain.xml\n";
const hookSaid = (text: string, hook = "bootshare"): string =>
  `${FAILED}error: Hook script execution failed: internal error: Child process (LC_ALL=C /etc/libvirt/hooks/qemu.d/${hook} bootshare-doctor-1 prepare begin -) unexpected exit status 1: ${text}\n`;

test.each<[string, string, HookTrial["outcome"], RegExp]>([
  [
    "our hook refused",
    hookSaid(
      `bootshare: The domain bootshare-doctor-1 (${UUID}) carries bootshare's metadata, and /var/lib/bootshare/guests/${UUID} does not exist. Restore that folder from a backup.`,
    ),
    "called",
    /^$/,
  ],
  [
    "our guard found no program",
    hookSaid(
      "bootshare: The hook's program (/usr/bin/node /x/hook.mjs) is missing, so no kernel can be chosen.",
    ),
    "broken",
    /is missing/,
  ],
  ["another hook refused", hookSaid("not on Sundays", "sundays"), "unknown", /not on Sundays/],
  [
    "nobody refused",
    `${FAILED}error: unable to stat: /var/lib/bootshare/guests/${UUID}/run/vmlinuz: No such file or directory\n`,
    "not-called",
    /unable to stat/,
  ],
  [
    "libvirt is not there",
    "error: failed to connect to the hypervisor\nerror: Failed to connect socket to '/var/run/libvirt/libvirt-sock': No such file or directory\n",
    "unknown",
    /connect/,
  ],
  [
    "libvirt has no such machine",
    `${FAILED}error: unsupported configuration: Emulator '/usr/bin/x' does not support machine type 'q35'\n`,
    "unknown",
    /^unsupported configuration/,
  ],
])("%s", (_what, stderr, outcome, said) => {
  const trial = judgeHookTrial(virshError("create", stderr), UUID);
  expect(trial.outcome).toBe(outcome);
  expect(trial.said).toMatch(said);
});

test("a domain that was started was not refused", () => {
  expect(judgeHookTrial(undefined, UUID).outcome).toBe("not-called");
});
