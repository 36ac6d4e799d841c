/** Two "hosts" that are real ssh servers on the loopback interface, each with another program of the name bootshare. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, expect, it, vi } from "vitest";
import { z } from "zod";
import type { Command } from "../../../src/commands/command.ts";
import { list } from "../../../src/commands/list.ts";
import { onHosts } from "../../../src/commands/on-hosts.ts";

const SSHD = "/usr/sbin/sshd";
const folder = mkdtempSync(join(tmpdir(), "bootshare-hosts-"));
const servers: ChildProcess[] = [];
const ports: number[] = [];
const path = process.env["PATH"];
let out = "";
let err = "";

async function freePort(): Promise<number> {
  return await new Promise((resolve) => {
    const server = createServer();
    server.listen(0, "127.0.0.1", () => {
      const { port } = z.object({ port: z.number() }).parse(server.address());
      server.close(() => resolve(port));
    });
  });
}

async function answers(port: number): Promise<boolean> {
  return await new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    socket.on("error", () => resolve(false));
    socket.on("connect", () => socket.end(() => resolve(true)));
  });
}

function program(file: string, text: string): void {
  writeFileSync(file, `#!/bin/sh\n${text}\n`);
  chmodSync(file, 0o755);
}

/** A server in which `bootshare` is this script; none where it is undefined. */
async function host(name: string, script: string | undefined): Promise<string> {
  const dir = join(folder, name);
  mkdirSync(dir);
  if (script !== undefined) program(join(dir, "bootshare"), script);
  execFileSync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", join(dir, "host_key")]);
  const port = await freePort();
  const config = [
    `ListenAddress 127.0.0.1:${port}`,
    `HostKey ${join(dir, "host_key")}`,
    `AuthorizedKeysFile ${join(folder, "key.pub")}`,
    `SetEnv PATH=${dir}:/usr/bin:/bin`,
    "PidFile none",
    "StrictModes no",
    "UsePAM no",
    "PermitRootLogin prohibit-password",
  ];
  writeFileSync(join(dir, "sshd_config"), `${config.join("\n")}\n`);
  ports.push(port);
  servers.push(spawn(SSHD, ["-D", "-e", "-f", join(dir, "sshd_config")], { stdio: "ignore" }));
  return `Host ${name}\n  HostName 127.0.0.1\n  Port ${port}\n`;
}

const LISTS = (name: string): string => `[ "$*" = "list --json" ] || { echo "asked for: $*" >&2; exit 70; }
echo '[{"name":"${name}","uuid":"u","state":"running","desired":"on","boot":"good","kernel":"6.12"}]'`;

beforeAll(async () => {
  if (!existsSync(SSHD)) throw new Error("openssh-server is not installed: scripts/prepare-machine --checks");
  // Debian's unit makes it, where systemd runs.
  if (process.getuid?.() === 0) mkdirSync("/run/sshd", { recursive: true, mode: 0o755 });
  execFileSync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", join(folder, "key")]);
  const closed = `Host closed\n  HostName 127.0.0.1\n  Port ${await freePort()}\n`;
  const hosts = [
    await host("one", LISTS("w1")),
    await host("two", LISTS("w2")),
    await host("broken", "echo 'Error: libvirt does not answer. [LIBVIRT_UNREACHABLE]' >&2; exit 5"),
    await host("empty", undefined),
    await host("words", 'for word; do echo "<$word>"; done; printf "\\033[2Jx\\n"; echo oops >&2'),
  ];
  const common = [
    "Host *",
    `  User ${userInfo().username}`,
    `  IdentityFile ${join(folder, "key")}`,
    "  IdentitiesOnly yes",
    "  StrictHostKeyChecking accept-new",
    `  UserKnownHostsFile ${join(folder, "known_hosts")}`,
    "  LogLevel ERROR",
  ];
  writeFileSync(join(folder, "config"), `${[...hosts, closed, ...common].join("\n")}\n`);
  // What a person has in ~/.ssh/config, which ssh finds by the password database and not by HOME.
  mkdirSync(join(folder, "bin"));
  program(join(folder, "bin/ssh"), `exec /usr/bin/ssh -F ${join(folder, "config")} "$@"`);
  process.env["PATH"] = `${join(folder, "bin")}:${path}`;
  for (const port of ports) while (!(await answers(port))) await sleep(50);
});

afterAll(() => {
  process.env["PATH"] = path;
  for (const server of servers) server.kill();
  rmSync(folder, { recursive: true });
});

afterEach(() => {
  vi.restoreAllMocks();
});

/** Runs a command on hosts and returns what came of it. */
async function on(command: Command, hosts: string[], ...args: string[]): Promise<unknown> {
  out = "";
  err = "";
  vi.spyOn(process.stdout, "write").mockImplementation((text) => {
    out += String(text);
    return true;
  });
  vi.spyOn(process.stderr, "write").mockImplementation((text) => {
    err += String(text);
    return true;
  });
  try {
    return await onHosts(command, { hosts, args, own: args.length }).then(
      () => undefined,
      (error: unknown) => error,
    );
  } finally {
    vi.restoreAllMocks();
  }
}

const other: Command = { name: "echo", summary: "" };

it("merges what two hosts list into one table", async () => {
  expect(await on(list, ["one", "two"], "list")).toBeUndefined();
  expect(out).toBe(
    [
      "HOST  NAME  STATE    BOOT  KERNEL",
      "one   w1    running  good  6.12",
      "two   w2    running  good  6.12",
      "",
    ].join("\n"),
  );
});

it("shows what there is, and tells the failures apart", async () => {
  const failure = await on(list, ["one", "closed", "empty", "broken", "two"], "list");
  expect(out.split("\n").filter((line) => /^(one|two) /.test(line))).toHaveLength(2);
  expect(failure).toMatchObject({
    code: "HOSTS_FAILED",
    exitCode: 1,
    message: "3 of 5 hosts did not do it.",
  });
  expect(failure).toMatchObject({
    detail: expect.stringMatching(
      /^closed could not be reached: .*Connection refused\nempty has no bootshare: .*not found\nbroken failed: libvirt does not answer\.$/,
    ),
  });
});

it("is an array as JSON", async () => {
  await on(list, ["one", "closed"], "list", "--json");
  expect(JSON.parse(out)).toMatchObject([
    { host: "one", outcome: "ok", exitCode: 0, result: [{ name: "w1" }], error: null },
    {
      host: "closed",
      outcome: "unreachable",
      exitCode: null,
      result: null,
      error: { code: "HOST_UNREACHABLE" },
    },
  ]);
});

it("hands arguments over as they are, and shows lines with their host, escaped", async () => {
  const words = ["echo", "a b", "$HOME", "it's", "*", "--flag=;x"];
  expect(await on(other, ["words"], ...words)).toBeUndefined();
  expect(out.split("\n").slice(0, 6)).toEqual(words.map((word) => `words: <${word}>`));
  expect(out).toContain("words: x\n");
  expect(err).toBe("words: oops\n");
});

it("goes from host to host where a command wants that, until one fails", async () => {
  const failure = await on({ ...other, hosts: "in-turn" }, ["words", "broken", "one"], "echo", "x");
  expect(out).toMatch(/^words: <echo>\n/);
  expect(failure).toMatchObject({
    // The one that failed says so.
    exitCode: 5,
    detail: "broken failed: libvirt does not answer.\none was not tried, as an earlier one failed",
  });
});

it("refuses what needs a terminal", async () => {
  expect(await on({ ...other, name: "console", hosts: "never" }, ["one"], "console", "g")).toMatchObject({
    exitCode: 2,
    message: "'bootshare console' needs a terminal, and works on this host alone.",
    hint: "ssh -t one bootshare console g",
  });
});
