/**
 * How much of a boot share is read, whatever a guest puts there. Each is several times what Debian's largest kernels
 * need, and small enough that a hostile guest costs the host little.
 */

const MIB = 1024 * 1024;

/** Largest kernel image that is booted, in bytes (128 MiB). */
export const KERNEL_MAX_BYTES = 128 * MIB;
/** Largest initrd that is booted, in bytes (512 MiB). */
export const INITRD_MAX_BYTES = 512 * MIB;
/** Most bytes that an initrd may unpack to (2 GiB). The kernel holds all of it in memory. */
export const INITRD_MAX_UNPACKED_BYTES = 2048 * MIB;
/** Longest file name, in bytes: Linux's NAME_MAX. A link's text is one file name, so it is as long at most. */
export const NAME_MAX_BYTES = 255;
/**
 * A regular file named like a default link is taken for the link of 9p's mapped mode up to this size, in bytes: Linux's
 * PATH_MAX, which no link's text exceeds. No kernel and no initrd is as small.
 */
export const MAPPED_LINK_MAX_BYTES = 4096;
/** Most names in a boot share that are looked at. A /boot has a few dozen. */
export const MAX_ENTRIES = 4096;
/** Most files of which the first bytes are read. */
export const MAX_HEADS = 256;
/** Most kernel configurations that are read. A /boot has two or three; the hook, which reads them, is waited for. */
export const MAX_CONFIGS = 8;
/** Most files of `loader/entries`, and most labels of an extlinux.conf. There is one for each kernel. */
export const MAX_LOADER_ENTRIES = 32;
/** Largest of these files, in bytes (64 KiB). The command line in it is 4 KiB at most. */
export const LOADER_FILE_MAX_BYTES = 64 * 1024;
/** How much of a kernel image is read to know it, in bytes. s390x has its mark at 0x10008, just beyond 64 KiB. */
export const KERNEL_HEAD_BYTES = 0x11000;
/** How much of an initrd is read to know its format, in bytes. */
export const INITRD_HEAD_BYTES = 512;
