// stand-in until the branch is merged

import type { DebianArch } from "../kernel/arch.ts";
import { isDebianArch } from "../kernel/arch.ts";
import { kvmResult } from "./choose.ts";
import type { HostFacts } from "./guest-kernel.ts";
import { hostArch } from "./host.ts";
export async function hostFacts(_arch: DebianArch): Promise<HostFacts> {
  const arch = hostArch();
  const kvm = isDebianArch(arch) ? await kvmResult(arch) : { usable: false, reason: "?" };
  return { arch, kvm, el1_32: undefined, el0_32: undefined };
}
