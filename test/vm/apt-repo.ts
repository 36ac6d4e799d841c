/** An apt repository in a guest, so that its apt has something to upgrade whenever a test wants it to. */
import { inGuest } from "./machine.ts";

export interface Offered {
  readonly name: string;
  readonly version: string;
  readonly depends?: string;
  /** Shell commands that its installation runs. */
  readonly postinst?: readonly string[];
}

const FOLDER = "/srv/bs-test-repo";

/** Offers a package, whose only content is what it depends on and what its installation runs. */
export async function offerPackage(guest: string, offered: Offered): Promise<void> {
  const { name, version, depends, postinst = [] } = offered;
  const control = [
    `Package: ${name}`,
    `Version: ${version}`,
    "Architecture: all",
    "Maintainer: Nobody <nobody@example.org>",
    ...(depends === undefined ? [] : [`Depends: ${depends}`]),
    "Description: offered by a test",
  ].join("\n");
  const script = [
    `mkdir -p ${FOLDER} && cd ${FOLDER}`,
    "rm -rf tree && mkdir -p tree/DEBIAN",
    `printf '%s\\n' "$1" >tree/DEBIAN/control`,
    `[ -z "$2" ] || { printf '#!/bin/sh\\nset -e\\n%s\\n' "$2" >tree/DEBIAN/postinst && chmod 755 tree/DEBIAN/postinst; }`,
    `dpkg-deb --root-owner-group -b tree ${name}_${version}.deb >/dev/null`,
    `{ printf '%s\\n' "$1"; printf 'Filename: ./%s\\nSize: %s\\nSHA256: %s\\n\\n' ${name}_${version}.deb "$(stat -c %s ${name}_${version}.deb)" "$(sha256sum ${name}_${version}.deb | cut -d' ' -f1)"; } >>Packages`,
    `echo 'deb [trusted=yes] file:${FOLDER} ./' >/etc/apt/sources.list.d/bs-test.list`,
    // dpkg forces each of a kernel's thousands of files to disk; a guest that is thrown away can do without.
    "echo force-unsafe-io >/etc/dpkg/dpkg.cfg.d/bs-test",
  ];
  await inGuest(guest, "sh", "-ec", script.join("\n"), "offer", control, postinst.join("\n"));
}

/** Offers another kernel of Debian's as the next version of the package that the guest's kernel came by. */
export async function offerKernel(guest: string, metapackage: string, kernel: string): Promise<void> {
  await offerPackage(guest, { name: metapackage, version: "999", depends: kernel });
}
