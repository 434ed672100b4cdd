import { expect, test } from "vitest";
import { charactersOf, tokens, unitsOf } from "./tokens";

const names = { fields: new Set(["dport", "port", "mark", "app", "bytes", "helper"]), flags: new Set(["tcp", "nat"]) };
const kinds = (query: string): string[] =>
  tokens(query, names)
    .filter((token) => token.kind !== "space")
    .map((token) => `${token.kind}:${token.text}`);

test("words are told apart by where they stand", () => {
  expect(kinds("tcp and dport == 443")).toEqual(["flag:tcp", "logic:and", "field:dport", "operator:==", "value:443"]);
  expect(kinds("dport in {80, https}")).toEqual([
    "field:dport",
    "operator:in",
    "bracket:{",
    "value:80",
    "bracket:,",
    "value:https",
    "bracket:}",
  ]);
  expect(kinds("port tcp")).toEqual(["field:port", "value:tcp"]);
  expect(kinds("app == tcp")).toEqual(["field:app", "operator:==", "value:tcp"]);
  expect(kinds("dport not in 1-5")).toEqual(["field:dport", "logic:not", "operator:in", "value:1-5"]);
});

test("signs, quotes and comments", () => {
  expect(kinds('!nat||app ~ "a \\"b\\" or"')).toEqual([
    "logic:!",
    "flag:nat",
    "logic:||",
    "field:app",
    "operator:~",
    'text:"a \\"b\\" or"',
  ]);
  expect(kinds("mark & 0xff != 3 # and so on")).toEqual([
    "field:mark",
    "operator:&",
    "value:0xff",
    "operator:!=",
    "value:3",
    "comment:# and so on",
  ]);
  expect(kinds("helper !~ '*ftp")).toEqual(["field:helper", "operator:!~", "text:'*ftp"]);
});

test("all tokens together are the query, whatever it is", () => {
  for (const query of ["", " ", "|", '"', "a&b|c", "é 😀 == ü", "((}{", "\\", "src==::1"]) {
    expect(tokens(query, names).map((token) => token.text).join("")).toBe(query);
  }
});

test("characters are not units of UTF-16", () => {
  expect(unitsOf("a😀b", 2)).toBe(3);
  expect(unitsOf("ab", 9)).toBe(2);
  expect(charactersOf("a😀b", 3)).toBe(2);
});
