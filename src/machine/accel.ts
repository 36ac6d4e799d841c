/** The two ways in which QEMU runs a guest's code. */

/** `kvm`: the host's processor runs it. `tcg`: QEMU translates it; any architecture on any host, many times slower. */
export type Accel = "kvm" | "tcg";

/** What a person may ask for. `auto` is KVM where a trial showed that it runs guests, and TCG elsewhere. */
export type AccelChoice = Accel | "auto";

export const ACCEL_CHOICES: readonly AccelChoice[] = ["auto", "kvm", "tcg"];
