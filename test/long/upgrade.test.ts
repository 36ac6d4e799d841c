/**
 * `bootshare upgrade` of one guest, whose apt is offered a newer metapackage that depends on another of Debian's own kernels: an
 * upgrade that brings a new kernel, whenever the test wants one.
 */
import { beforeAll, describe, expect, it } from "vitest";
import { offerKernel } from "../vm/apt-repo.ts";
import { ensureGuest, NINEP } from "../vm/guests.ts";
import { bootshare, inGuest, json, keepLogsOnFailure, statusOf } from "../vm/machine.ts";

const { name, secondKernel, flavour } = NINEP;

interface Upgrade {
  readonly stopped: unknown;
  readonly guests: readonly { readonly kernel: string | null }[];
}

describe("upgrade", () => {
  beforeAll(async () => {
    await ensureGuest(NINEP);
  });

  it("brings a guest into a kernel that came by apt", async () => {
    keepLogsOnFailure(name, "upgrade");
    const before = await statusOf(name);
    await offerKernel(name, "linux-image-amd64", secondKernel);
    const { stopped, guests } = await json<Upgrade>("upgrade", name);
    expect(stopped).toBe(null);
    expect(guests).toMatchObject([
      { name, phase: "done", canary: true, drained: false, result: "rebooted", before: before.kernel },
    ]);
    expect(guests[0]?.kernel).toContain(flavour);
    const after = await statusOf(name);
    expect(after).toMatchObject({ boot: "good", kernel: guests[0]?.kernel });
    expect(await inGuest(name, "uname", "-r")).toBe(after.kernel);
    expect(await bootshare("logs", name, "--source", "upgrade", "--lines", "1000")).toContain(secondKernel);
    const history = await json<Record<string, unknown>[]>("history", name);
    expect(history.at(-2)).toMatchObject({ assessment: "good", kernel: before.kernel });
    expect(history.at(-1)).toMatchObject({ assessment: "good", how: null, kernel: after.kernel });
  });
});
