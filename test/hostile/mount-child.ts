/** Mounts a share, as any of bootshare's processes may. */
import { mountShare } from "../../src/share/mount.ts";

const [image = "", share = ""] = process.argv.slice(2);
mountShare(image, share);
