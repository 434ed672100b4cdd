import { describe, expect, it } from "vitest";
import type { Connection } from "./api";
import { changes } from "./seen";

const way = { src: "10.0.0.1", dst: "10.0.0.2" };
const row: Connection = {
  name: "00000001-00000001",
  family: "ipv4",
  protocol_number: 6,
  orig: way,
  reply: way,
  nat: false,
  zone: 0,
  state: "SYN_SENT",
  status: ["CONFIRMED"],
  mark: 0,
  start_ns: 5,
};
const kinds = (seen: ReturnType<typeof changes>): string[] => seen.map(({ kind }) => kind);

describe("what is seen of a connection", () => {
  it("begins with its begin, where that is known", () => {
    expect(changes("poll", 9, row, undefined).map(({ kind, time_ns }) => [kind, time_ns])).toEqual([
      ["began", 5],
      ["seen", 9],
    ]);
    const { start_ns: _, ...without } = row;
    expect(kinds(changes("poll", 9, without, undefined))).toEqual(["seen"]);
    expect(kinds(changes("new", 9, row, undefined))).toEqual(["new"]);
  });

  it("is what has changed, once", () => {
    const next = { ...row, state: "ESTABLISHED", status: ["CONFIRMED", "SEEN_REPLY"], mark: 2 };
    const seen = changes("update", 9, next, row);
    expect(kinds(seen)).toEqual(["state", "status", "mark"]);
    expect(seen[1]?.bits).toEqual(["SEEN_REPLY"]);
    expect(changes("poll", 10, next, next)).toEqual([]);
  });

  it("ends with its end", () => {
    expect(kinds(changes("destroy", 9, row, row))).toEqual(["destroy"]);
  });
});
