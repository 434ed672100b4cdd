import { expect, test } from "vitest";
import type { Connection } from "../api";
import { bar, CELLS, path, status } from "./pieces";

const now = { daemon: 1_000_000, since: 5 };

function row(change: Partial<Connection> = {}): Connection {
  return {
    name: "1-1",
    family: "ipv4",
    protocol: "tcp",
    protocol_number: 6,
    state: "ESTABLISHED",
    orig: { src: "10.0.0.3", dst: "198.51.100.11", sport: 5000, dport: 443 },
    reply: { src: "198.51.100.11", dst: "10.0.0.3", sport: 443, dport: 5000 },
    nat: false,
    zone: 0,
    ...change,
  };
}

const texts = (pieces: readonly { text: string; tail?: string }[]): string =>
  pieces.map((piece) => piece.text + (piece.tail ?? "")).join("");
const cell = (id: string, of: Connection): string => texts(CELLS[id]?.(of, now) ?? []);

test("a path leads over what NAT shows to the true other end", () => {
  expect(path(row())).toEqual([{ text: "", look: "direct", term: "not nat" }]);
  const out = row({ reply: { src: "198.51.100.11", dst: "203.0.113.5", sport: 443, dport: 6000 } });
  expect(texts(path(out))).toBe("10.0.0.3→203.0.113.5:6000→198.51.100.11:443");
  expect(path(out).map((piece) => piece.term)).toContain("reply.dst == 203.0.113.5");
  const in_ = row({
    orig: { src: "198.51.100.9", dst: "203.0.113.5", sport: 5000, dport: 8443 },
    reply: { src: "10.0.0.2", dst: "198.51.100.9", sport: 443, dport: 5000 },
  });
  expect(texts(path(in_))).toBe("198.51.100.9→203.0.113.5:8443→10.0.0.2:443");
  const both = row({ reply: { src: "10.0.0.2", dst: "10.0.0.1", sport: 443, dport: 5000 } });
  expect(texts(path(both))).toBe("10.0.0.3→198.51.100.11:443→10.0.0.1:5000→10.0.0.2:443");
});

test("what is not known is not zero", () => {
  for (const id of ["rate_orig", "bytes", "packets", "age", "timeout", "mark"]) expect(cell(id, row())).toBe("–");
  expect(cell("bytes", row({ orig: { src: "a", dst: "b", bytes: 0 }, reply: { src: "b", dst: "a", bytes: 0 } }))).toBe("0 B");
});

test("timeouts run down, but not in a flow table", () => {
  expect(cell("timeout", row({ timeout: 65 }))).toBe("1m");
  expect(cell("timeout", row({ timeout: 65, status: ["OFFLOAD"] }))).toBe("1m 5s");
  expect(cell("timeout", row({ timeout: 2 }))).toBe("0s");
  expect(cell("age", row({ start_ns: 940_000 * 1e6 }))).toBe("1m");
});

test("status says what matters", () => {
  expect(status(row({ status: ["SEEN_REPLY", "ASSURED", "CONFIRMED"] })).map((piece) => piece.term)).toEqual(["assured"]);
  expect(status(row({ status: ["CONFIRMED"] })).map((piece) => piece.term)).toEqual(["unreplied"]);
});

test("long addresses keep their ends, and all of their text", () => {
  const six = row({ orig: { src: "2001:db8:1:2:3:4:5:6", dst: "::1", sport: 1, dport: 2 } });
  expect(CELLS["source"]?.(six, now)[0]).toMatchObject({ text: "2001:db8:1:2:3:4", tail: ":5:6", term: "src == 2001:db8:1:2:3:4:5:6" });
  expect(cell("destination", six)).toBe("::1:2");
});

test("bars grow by powers of ten", () => {
  expect(bar(0)).toBe(0);
  expect(bar(1)).toBe(0.04);
  expect(bar(125e6)).toBe(1);
  expect(bar(1e4)).toBeLessThan(bar(1e5));
});
