/** How long a boot may take to be good. */

/**
 * Seconds from the hook's choice to *good*, by what runs the guest. Several times what a slow boot with a file system
 * check takes: too short a time costs a good kernel its tries, and one that is too long only delays the way back from a
 * hang that the machine's watchdog does not see.
 */
export const BOOT_TIMEOUT_S: Readonly<Record<"kvm" | "tcg" | "other", number>> = {
  kvm: 600,
  tcg: 1800,
  other: 600,
};

/** The first boot of a guest that makes its own initrd takes that much longer. */
export const FIRST_BOOT_FACTOR = 3;

/**
 * @param wanted by the guest's policy, in seconds; 0 for no limit
 * @param provided the host's own pair boots
 * @returns seconds; undefined for no limit
 */
export function bootTimeout(
  wanted: number | undefined,
  accel: "kvm" | "tcg" | "other" = "other",
  provided: boolean,
): number | undefined {
  if (wanted !== undefined) return wanted === 0 ? undefined : wanted;
  return BOOT_TIMEOUT_S[accel] * (provided ? FIRST_BOOT_FACTOR : 1);
}
