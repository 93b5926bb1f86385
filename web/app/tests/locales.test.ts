import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import en from "../src/locales/en.json";
import zh from "../src/locales/zh.json";

type Tree = { [key: string]: string | Tree };

function flatten(tree: Tree, prefix = ""): Map<string, string> {
  const result = new Map<string, string>();
  for (const [key, value] of Object.entries(tree)) {
    if (typeof value === "string") result.set(prefix + key, value);
    else for (const [k, v] of flatten(value, `${prefix}${key}.`)) result.set(k, v);
  }
  return result;
}

const english = flatten(en);
const chinese = flatten(zh);
const placeholders = (text: string): string[] => (text.match(/\{\{\w+\}\}/g) ?? []).sort();

describe("the two languages", () => {
  it("have the same keys", () => {
    expect([...chinese.keys()].sort()).toEqual([...english.keys()].sort());
  });

  it("fill in the same values", () => {
    for (const [key, text] of english) {
      expect([key, placeholders(chinese.get(key) ?? "")]).toEqual([key, placeholders(text)]);
    }
  });

  it("say something everywhere", () => {
    const empty = [...english, ...chinese].filter(([, text]) => text.trim() === "");
    expect(empty).toEqual([]);
  });

  it("are told apart: no English was left in the Chinese", () => {
    const untranslated = [...chinese].filter(([, text]) => !/[一-鿿]/.test(text));
    expect(untranslated).toEqual([]);
  });
});

describe("the pages", () => {
  const source = readdirSync(join(__dirname, "../src"), { recursive: true, encoding: "utf8" })
    .filter((path) => path.endsWith(".tsx"))
    .map((path) => readFileSync(join(__dirname, "../src", path), "utf8"));
  const code = source.join("\n");

  it("use every string", () => {
    const dynamic = [...code.matchAll(/`([\w.]+)\.\$\{/g)].map((m) => `${m[1]}.`);
    const unused = [...english.keys()].filter(
      (key) => !code.includes(`"${key}"`) && !dynamic.some((prefix) => key.startsWith(prefix)),
    );
    expect(unused).toEqual([]);
  });

  it("write no words of their own between tags", () => {
    const words = [...code.matchAll(/>([^<>{}=;()]*[A-Za-z一-鿿]{3,}[^<>{}=;()]*)<\//g)].map((m) =>
      (m[1] ?? "").trim(),
    );
    expect(words).toEqual(["Odeon"]);
  });
});
