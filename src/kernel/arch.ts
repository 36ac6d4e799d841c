/** The architectures of Debian that a guest's kernel may have, and what other programs call them. */

/** Debian's names (dpkg --print-architecture) of the architectures that bootshare makes guests of. */
export const DEBIAN_ARCHES = [
  "amd64",
  "i386",
  "arm64",
  "armhf",
  "armel",
  "riscv64",
  "ppc64el",
  "s390x",
] as const;
export type DebianArch = (typeof DEBIAN_ARCHES)[number];

interface ArchFacts {
  readonly libvirt: string;
  readonly stems: readonly [string, ...string[]];
}

// The stems are those of Debian's own packages: linux-image-* has /boot/vmlinux-RELEASE on riscv64 and ppc64el, and
// /boot/vmlinuz-RELEASE elsewhere. `make install` of an upstream kernel always says vmlinuz, so it is second on those two.
const FACTS: Readonly<Record<DebianArch, ArchFacts>> = {
  amd64: { libvirt: "x86_64", stems: ["vmlinuz"] },
  i386: { libvirt: "i686", stems: ["vmlinuz"] },
  arm64: { libvirt: "aarch64", stems: ["vmlinuz"] },
  armhf: { libvirt: "armv7l", stems: ["vmlinuz"] },
  // QEMU has one program for 32-bit ARM, and libvirt calls it armv7l whatever the kernel was compiled for.
  armel: { libvirt: "armv7l", stems: ["vmlinuz"] },
  riscv64: { libvirt: "riscv64", stems: ["vmlinux", "vmlinuz"] },
  ppc64el: { libvirt: "ppc64le", stems: ["vmlinux", "vmlinuz"] },
  s390x: { libvirt: "s390x", stems: ["vmlinuz"] },
};

/** Whether `text` is one of {@link DEBIAN_ARCHES}. */
export function isDebianArch(text: string): text is DebianArch {
  return (DEBIAN_ARCHES as readonly string[]).includes(text);
}

/**
 * What kernel images and the link to the default kernel are called in the /boot of this architecture, Debian's own
 * name first: a kernel is `STEM-RELEASE`, the link is `STEM`.
 */
export function imageStems(arch: DebianArch): readonly [string, ...string[]] {
  return FACTS[arch].stems;
}

/** The architecture as libvirt's domain XML has it (`<type arch='…'>`). */
export function libvirtArch(arch: DebianArch): string {
  return FACTS[arch].libvirt;
}
