/** The command line program: finds the command, runs it, and prints the error where there is one. */
import { Option, Command as Program } from "commander";
import pc from "picocolors";
import { outliveReaders } from "./commands/closed-output.ts";
import type { Command } from "./commands/command.ts";
import { COMMANDS } from "./commands/index.ts";
import { onHosts } from "./commands/on-hosts.ts";
import { EXIT, UserError } from "./errors.ts";
import { takeHosts, type ValueOptions } from "./hosts/hosts.ts";
import { VERSION } from "./version.ts";

function build(): Program {
  const program = new Program("bootshare")
    .exitOverride()
    .description("Debian virtual machines that boot the kernel their own apt installed.")
    .version(VERSION, "-V, --version", "print the version")
    // Taken out of the command line before it is read (hosts/hosts.ts); here for the help.
    .option(
      "--host <user@host>",
      "run the command there, over ssh; may be given several times (docs/many-hosts.md)",
    )
    .helpCommand("help [command]", "show help for a command")
    .enablePositionalOptions()
    .showHelpAfterError("('bootshare --help' shows all commands)")
    .addHelpText(
      "after",
      "\nRun by root it works for the machine (qemu:///system), run by anybody else for that user's own guests\n(qemu:///session), without root's rights.\n\nExit codes: 0 done, 1 failed, 2 wrong usage, 3 not found, 4 conflict, 5 machine lacks something,\n6 time is up, 70 error in bootshare. Manual pages: docs/ of the source.",
    );
  for (const command of COMMANDS) add(program, command);
  return program;
}

function add(parent: Program, command: Command): void {
  const made = parent
    .command(command.name)
    .summary(command.summary)
    .description(command.about ?? command.summary);
  for (const [name, text] of command.arguments ?? []) made.argument(name, text);
  for (const { flags, text } of command.options ?? []) made.option(flags, text);
  if (command.examples !== undefined) {
    const lines = command.examples.map(([line, text]) => `  ${line}\n      ${text}`);
    made.addHelpText("after", `\nExamples:\n${lines.join("\n")}`);
  }
  for (const sub of command.subcommands ?? []) add(made, sub);
  const { run } = command;
  if (run === undefined) return;
  if (command.passThrough === true) made.passThroughOptions();
  made.action(async () => {
    process.exitCode = (await run(made.args, made.opts())) ?? EXIT.ok;
  });
}

/** Prints an error as the person at the terminal should see it, and returns the exit code. */
function report(error: unknown): number {
  // Left alone, picocolors takes a CI for a terminal, and what reads our errors there would find colours in them.
  const colors = pc.createColors(process.stderr.isTTY === true && pc.isColorSupported);
  const out = (line: string): void => {
    process.stderr.write(`${line}\n`);
  };
  if (error instanceof UserError) {
    out(`${colors.red("Error:")} ${error.message} ${colors.dim(`[${error.code}]`)}`);
    if (error.detail !== undefined && error.detail !== "") {
      for (const line of error.detail.split("\n")) out(`  | ${line}`);
    }
    if (error.hint !== undefined) out(`What to do: ${error.hint}`);
    return error.exitCode;
  }
  out(
    `${colors.red("This is an error in bootshare")} ${VERSION}, not yours. Please report it with the lines below.`,
  );
  out(error instanceof Error ? (error.stack ?? error.message) : String(error));
  return EXIT.bug;
}

outliveReaders(process.stdout, process.stderr, (code) => process.exit(code));

/** Runs what the command line says, here or on the hosts that it names. */
async function main(): Promise<void> {
  const find = (name: string): Command | undefined => COMMANDS.find((one) => one.name === name);
  const addressed = takeHosts(process.argv.slice(2), (name) => {
    const command = find(name);
    return command?.passThrough === true ? valueOptions(command) : undefined;
  });
  const { hosts, args, own } = addressed;
  const command = find(args[0] ?? "");
  // Further on they are the program's that is to be run.
  const help = args.slice(0, own).some((arg) => arg === "--help" || arg === "-h");
  // What is no command of ours, and what asks for help, is answered here.
  if (hosts.length === 0 || command === undefined || help) await build().parseAsync(args, { from: "user" });
  else await onHosts(command, addressed);
}

function valueOptions({ options = [] }: Command): ValueOptions {
  const made = options.map(({ flags }) => new Option(flags)).filter(({ required }) => required);
  return new Map(made.map(({ long, variadic }) => [long ?? "", { many: variadic }]));
}

try {
  await main();
} catch (error) {
  if (error instanceof Error && "code" in error && String(error.code).startsWith("commander.")) {
    const asked = ["commander.help", "commander.helpDisplayed", "commander.version"].includes(
      String(error.code),
    );
    process.exitCode = asked ? EXIT.ok : EXIT.usage;
  } else {
    process.exitCode = report(error);
  }
}
