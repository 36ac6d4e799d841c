import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  CONFIG_MAX_BYTES,
  CONFIG_OPTIONS,
  configName,
  configOf,
  parseKernelConfig,
} from "../../../src/kernel/config.ts";
import { configText, debianConfig, RELEASES } from "./debian-configs.ts";

const parse = (text: string): ReturnType<typeof parseKernelConfig> => parseKernelConfig(Buffer.from(text));

describe("parseKernelConfig", () => {
  test.each(RELEASES)("Debian's %s", (release) => {
    expect(parse(configText(release))).toEqual({ ok: true, config: debianConfig(release) });
  });

  test("an option that the file does not name is not there", () => {
    const result = parse("CONFIG_PCI=y\n");
    expect(result).toEqual({ ok: true, config: configOf({ PCI: "y" }) });
  });

  test.each([
    ["the last setting counts", "CONFIG_PCI=m\nCONFIG_PCI=y\n", "y"],
    ["and so does being unset", "CONFIG_PCI=y\n# CONFIG_PCI is not set\n", "n"],
    ["a longer name is another", "CONFIG_PCI_HOST=y\n", "n"],
    ["a comment is no setting", "# CONFIG_PCI=y\nCONFIG_X=y\n", "n"],
    ["a space before is none", " CONFIG_PCI=y\nCONFIG_X=y\n", "n"],
    ["another value is none", "CONFIG_PCI=yes\nCONFIG_X=y\n", "n"],
    ["the name of a property of objects", "CONFIG___PROTO__=y\nCONFIG_PCI=y\n", "y"],
  ])("%s", (_what, text, value) => {
    expect(parse(text)).toMatchObject({ ok: true, config: { PCI: value } });
  });

  test.each([
    ["nothing", Buffer.alloc(0), "is empty"],
    [
      "a half line at the end",
      Buffer.from("CONFIG_PCI=y\nCONFIG_VIRTIO_P"),
      "is cut short: its last line does not end",
    ],
    ["another file", Buffer.from("root=UUID=1 ro\n"), "sets no option"],
    ["bytes", Buffer.from([0, 255, 10]), "sets no option"],
    ["too much", Buffer.alloc(CONFIG_MAX_BYTES + 1, "\n"), "is larger than 4 MiB"],
  ])("%s is refused", (_what, file, reason) => {
    expect(parseKernelConfig(file)).toEqual({ ok: false, reason });
  });

  test("the largest file that is read does not take long, whatever is in it", () => {
    const start = performance.now();
    for (const piece of ["\n", "CONFIG_", "CONFIG_A=y\n", "# CONFIG_A", `CONFIG_${"A".repeat(64)}`]) {
      parseKernelConfig(Buffer.alloc(CONFIG_MAX_BYTES - 1, piece));
      parseKernelConfig(Buffer.from(`${piece.repeat(Math.floor((CONFIG_MAX_BYTES - 1) / piece.length))}\n`));
    }
    expect(performance.now() - start).toBeLessThan(20_000);
  });

  test("any bytes give every option a value, or a reason that is safe to show", () => {
    const line = fc.oneof(
      fc
        .constantFrom(...CONFIG_OPTIONS)
        .chain((name) =>
          fc.constantFrom(
            `CONFIG_${name}=y`,
            `CONFIG_${name}=m`,
            `# CONFIG_${name} is not set`,
            `CONFIG_${name}="a"`,
          ),
        ),
      fc.string({ unit: "binary", maxLength: 30 }),
    );
    fc.assert(
      fc.property(fc.array(line), fc.boolean(), (lines, whole) => {
        const result = parse(lines.join("\n") + (whole ? "\n" : ""));
        if (result.ok) {
          expect(Object.keys(result.config)).toEqual([...CONFIG_OPTIONS]);
          for (const value of Object.values(result.config)) expect(["y", "m", "n"]).toContain(value);
        } else {
          expect(result.reason).toMatch(/^[a-z0-9 :.MiB-]+$/);
        }
      }),
    );
  });

  test("what is written is what is read", () => {
    const settings = fc.dictionary(fc.constantFrom(...CONFIG_OPTIONS), fc.constantFrom("y", "m", "n"), {
      minKeys: 1,
    });
    fc.assert(
      fc.property(settings, (values) => {
        const text = Object.entries(values)
          .map(([name, value]) =>
            value === "n" ? `# CONFIG_${name} is not set\n` : `CONFIG_${name}=${value}\n`,
          )
          .join("");
        expect(parse(text)).toEqual({ ok: true, config: configOf(values) });
      }),
    );
  });
});

test("configName", () => {
  expect(configName("6.1.0-50-armmp")).toBe("config-6.1.0-50-armmp");
});
