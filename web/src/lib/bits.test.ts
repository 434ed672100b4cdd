import { describe, expect, it } from "vitest";
import { hex, markParts, parseNumber, tcpFlags } from "./bits";

const MARKS = {
  application: { shift: 8, mask: 255, names: { "7": "HTTP" } },
  class: { shift: 0, mask: 255, names: { "0": "default", "2": "medium" } },
  uplink: { shift: 16, mask: 65_535, names: {} },
};

describe("bits", () => {
  it("of a mark are told part by part, from the highest", () => {
    expect(markParts(MARKS, 0x10702)).toEqual([
      { part: "uplink", bits: "16–31", number: 1, name: undefined },
      { part: "application", bits: "8–15", number: 7, name: "HTTP" },
      { part: "class", bits: "0–7", number: 2, name: "medium" },
    ]);
    expect(markParts(MARKS, 0xffff_ffff)[0]?.number).toBe(65_535);
    expect(markParts({ one: { shift: 31, mask: 1, names: {} } }, 0x8000_0000)).toEqual([
      { part: "one", bits: "31", number: 1, name: undefined },
    ]);
  });

  it("are written in both ways, and nothing else is a number", () => {
    expect(hex(26)).toBe("0x1a");
    expect([" 26 ", "0x1A", "4294967295"].map(parseNumber)).toEqual([26, 26, 0xffff_ffff]);
    expect(["", "x", "-1", "1.5", "0x", "4294967296"].map(parseNumber)).toEqual(Array(6).fill(undefined));
  });

  it("of TCP have the kernel's names", () => {
    expect(tcpFlags(35)).toEqual(["WINDOW_SCALE", "SACK_PERM", "MAXACK_SET"]);
    expect(tcpFlags(0)).toEqual([]);
  });
});
