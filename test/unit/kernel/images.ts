/** Makers of small files that begin like real kernels and initrds, from the documentation of each format. */

export interface BzImageOptions {
  readonly release?: string;
  readonly xloadflags?: number;
  readonly protocol?: number;
  /** Of the protected-mode part, in bytes. */
  readonly systemBytes?: number;
}

/** x86: boot sector and 3 more setup sectors, then the protected-mode part. */
export function bzImage(options: BzImageOptions = {}): Buffer {
  const {
    release = "6.12.38+deb13-amd64",
    xloadflags = 0x7f,
    protocol = 0x020f,
    systemBytes = 4096,
  } = options;
  const image = Buffer.alloc(4 * 512 + systemBytes);
  image.write("MZ", 0);
  image.writeUInt8(3, 0x1f1);
  image.writeUInt32LE(Math.ceil(systemBytes / 16), 0x1f4);
  image.writeUInt16LE(0xaa55, 0x1fe);
  image.write("HdrS", 0x202);
  image.writeUInt16LE(protocol, 0x206);
  image.writeUInt16LE(0x300, 0x20e);
  image.writeUInt8(1, 0x211);
  image.writeUInt16LE(xloadflags, 0x236);
  image.write(`${release} (builder@example.org) #1 SMP\0`, 0x500);
  return image;
}

/** 32-bit ARM. */
export function zImage(bytes = 2048): Buffer {
  const image = Buffer.alloc(bytes);
  image.writeUInt32LE(0x016f2818, 0x24);
  image.writeUInt32LE(0, 0x28);
  image.writeUInt32LE(bytes, 0x2c);
  image.writeUInt32LE(0x04030201, 0x30);
  return image;
}

/** arm64 or riscv64, with a PE header of one section that reaches to the file's end. */
export function plainImage(arch: "arm64" | "riscv64", bytes = 8192): Buffer {
  const image = Buffer.alloc(bytes);
  image.write("MZ", 0);
  image.writeBigUInt64LE(0x2500000n, 0x10);
  image.writeBigUInt64LE(0x0an & (arch === "arm64" ? 0xffn : 0n), 0x18);
  image.write(arch === "arm64" ? "ARM\x64" : "RSC\x05", 0x38, "latin1");
  writePe(image, arch === "arm64" ? 0xaa64 : 0x5064, 0x1000, bytes - 0x1000);
  return image;
}

/** An EFI zboot image. */
export function zboot(machine: number, compression: string, bytes = 8192): Buffer {
  const image = Buffer.alloc(bytes);
  image.write("MZ\0\0zimg", 0, "latin1");
  image.writeUInt32LE(0x1000, 8);
  image.writeUInt32LE(bytes - 0x1000, 12);
  image.write(`${compression}\0`, 24);
  writePe(image, machine, 0x1000, bytes - 0x1000);
  return image;
}

function writePe(image: Buffer, machine: number, offset: number, length: number): void {
  image.writeUInt32LE(0x40, 0x3c);
  image.write("PE\0\0", 0x40, "latin1");
  image.writeUInt16LE(machine, 0x44);
  image.writeUInt16LE(1, 0x46);
  image.writeUInt16LE(0xa0, 0x54);
  const section = 0x40 + 24 + 0xa0;
  image.writeUInt32LE(length, section + 16);
  image.writeUInt32LE(offset, section + 20);
}

/** An ELF64 file with one segment and a section table at its end. */
export function elf(machine: number, bytes = 4096): Buffer {
  const image = Buffer.alloc(bytes);
  image.write("\x7fELF\x02\x01\x01", 0, "latin1");
  image.writeUInt16LE(2, 16);
  image.writeUInt16LE(machine, 18);
  image.writeBigUInt64LE(64n, 0x20);
  image.writeBigUInt64LE(BigInt(bytes - 128), 0x28);
  image.writeUInt16LE(56, 0x36);
  image.writeUInt16LE(1, 0x38);
  image.writeUInt16LE(64, 0x3a);
  image.writeUInt16LE(2, 0x3c);
  image.writeBigUInt64LE(256n, 64 + 8);
  image.writeBigUInt64LE(1024n, 64 + 32);
  return image;
}

/** s390x. */
export function s390(): Buffer {
  const image = Buffer.alloc(0x11000);
  image.write("S390EP\0\x01", 0x10008, "latin1");
  return image;
}

/** The first bytes of an initrd that zstd packed. */
export function zstdInitrd(bytes = 1024): Buffer {
  const initrd = Buffer.alloc(bytes, 7);
  initrd.set([0x28, 0xb5, 0x2f, 0xfd]);
  return initrd;
}
