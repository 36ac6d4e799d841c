import { describe, expect, it } from "vitest";
import { type PreseedFacts, preseed } from "../../../../src/provision/installer/preseed.ts";
import { FACTS as facts } from "./facts.ts";

/** The value that counts for a question: the last one. */
function answer(text: string, question: string): string | undefined {
  return text
    .split("\n")
    .map((line) => line.split(" "))
    .findLast(([, name]) => name === question)
    ?.slice(3)
    .join(" ");
}

describe("the answers", () => {
  it("are one line each", () => {
    for (const line of preseed(facts).text.split("\n")) expect(line).toMatch(/^$|^#|^\S+ \S+\/\S+ [a-z]+/);
  });

  it.each<[what: string, change: Partial<PreseedFacts>, question: string, value: string | undefined]>([
    ["host of the mirror", {}, "mirror/http/hostname", "mirror.example.org"],
    ["folder of the mirror", {}, "mirror/http/directory", "/debian"],
    [
      "a mirror with a port",
      { mirrors: { ...facts.mirrors, archive: "http://mirror.example.org:8080/d" } },
      "mirror/http/hostname",
      "mirror.example.org:8080",
    ],
    [
      "a mirror by https",
      { mirrors: { ...facts.mirrors, archive: "https://mirror.example.org/debian" } },
      "mirror/https/hostname",
      "mirror.example.org",
    ],
    [
      "a proxy",
      { proxy: "http://proxy.example.org:3128" },
      "mirror/http/proxy",
      "http://proxy.example.org:3128",
    ],
    ["no proxy", {}, "mirror/http/proxy", ""],
    ["the usual security archive", {}, "apt-setup/security_host", "mirror.example.org"],
    [
      "another one",
      { mirrors: { ...facts.mirrors, security: "https://mirror.example.org/sec" } },
      "apt-setup/local0/repository",
      "https://mirror.example.org/sec trixie-security main",
    ],
    [
      "none of either",
      { mirrors: { ...facts.mirrors, security: undefined, updates: false } },
      "apt-setup/services-select",
      "",
    ],
    ["the suite", {}, "mirror/udeb/suite", "trixie"],
    ["a login by password: nobody's", {}, "passwd/root-password-crypted", "!!"],
    ["no loader", {}, "grub-installer/skip", "true"],
    ["interactive: nothing about disks", { interactive: true }, "partman-auto/method", undefined],
    ["interactive: nor a script for them", { interactive: true }, "partman/early_command", undefined],
    [
      "interactive: the kernel all the same",
      { interactive: true },
      "base-installer/kernel/image",
      "linux-image-amd64",
    ],
    ["interactive: off at the end", { interactive: true }, "debian-installer/exit/poweroff", "true"],
  ])("%s", (_what, change, question, value) => {
    expect(answer(preseed({ ...facts, ...change }).text, question)).toBe(value);
  });
});

describe("a person's own", () => {
  const own = [
    "# an LVM",
    "d-i partman-auto/method string lvm",
    "d-i pkgsel/include string \\",
    "  vim git",
    "tasksel tasksel/first multiselect standard",
    "d-i preseed/late_command string in-target touch /root/mine; \\",
    '    echo it\'s "done"',
    "d-i debian-installer/exit/poweroff boolean false",
    "d-i base-installer/kernel/image string linux-image-cloud-amd64",
    "d-i netcfg/get_hostname seen false",
  ].join("\r\n");
  const { text, commands } = preseed({ ...facts, own });

  it.each([
    ["wins", "partman-auto/method", "lvm"],
    ["wins about the kernel", "base-installer/kernel/image", "linux-image-cloud-amd64"],
    [
      "is joined about packages",
      "pkgsel/include",
      "openssh-server qemu-guest-agent dbus libpam-systemd vim git",
    ],
    ["has tasks where it names some", "pkgsel/run_tasksel", undefined],
    ["keeps the installer's recipes for its method", "partman-auto/choose_recipe", undefined],
    ["has no recipe of ours in the way of its own", "partman-auto/expert_recipe", undefined],
    ["does not keep the machine on", "debian-installer/exit/poweroff", "true"],
  ])("%s", (_what, question, value) => {
    expect(answer(text, question)).toBe(value);
  });

  it.each([
    ["a chosen recipe", "d-i partman-auto/choose_recipe select home", "partman-auto/expert_recipe"],
    ["a password of root's", "d-i passwd/root-password password example", "passwd/root-password-crypted"],
    ["a user", "d-i passwd/username string somebody", "passwd/make-user"],
  ])("%s takes the place of what we say of it by another name", (_what, line, question) => {
    expect(answer(preseed({ ...facts, own: line }).text, question)).toBeUndefined();
  });

  it("has its command before partitioning run where the questions are a person's, too", () => {
    const asked = { ...facts, interactive: true, own: "d-i partman/early_command string true" };
    expect(answer(preseed(asked).text, "partman/early_command")).toContain("own-disk");
  });

  it("has its commands run before bootshare's, as they are written", () => {
    expect(commands).toEqual({ finish: 'in-target touch /root/mine;  echo it\'s "done"' });
    expect(text).not.toContain("/root/mine");
    expect(answer(text, "preseed/late_command")).toContain(
      "sh /bootshare/own-finish || exit 1; fi; sh /bootshare/finish",
    );
  });

  it("keeps comments and lines that only say what is to be asked", () => {
    expect(text).toContain("# an LVM\n");
    expect(text).toContain("\nd-i netcfg/get_hostname seen false\n");
  });
});
