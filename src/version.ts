declare const BOOTSHARE_VERSION: string | undefined;

/** The version of bootshare, put in by the build; `0.0.0-dev` when run from the sources. */
export const VERSION = typeof BOOTSHARE_VERSION === "string" ? BOOTSHARE_VERSION : "0.0.0-dev";
