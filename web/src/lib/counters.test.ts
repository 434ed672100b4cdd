import { expect, test } from "vitest";
import { inOrder, risen, speeds, unitOf } from "./counters";

test("a counter that wrapped has risen, too", () => {
  expect(risen(5, 9)).toBe(4);
  expect(risen(4_294_967_290, 4)).toBe(10);
});

test("how fast counters rise", () => {
  const before = { at: 1000, counters: { drop: 1, found: 5 } };
  expect(speeds(before, { at: 3000, counters: { drop: 7, found: 5, newer: 3 } })).toEqual({ drop: 3, found: 0 });
  expect(speeds(undefined, before)).toEqual({});
  expect(speeds(before, before)).toEqual({});
});

test("the bad stand first", () => {
  expect(inOrder(["found", "invalid", "insert_failed", "drop", "chaintoolong", "abc"])).toEqual([
    "chaintoolong",
    "drop",
    "insert_failed",
    "invalid",
    "abc",
    "found",
  ]);
});

test("what settings are of", () => {
  expect(unitOf("nf_conntrack_udp_timeout_stream")).toBe("seconds");
  expect(unitOf("nf_conntrack_frag6_high_thresh")).toBe("bytes");
  expect(unitOf("nf_conntrack_acct")).toBe("switch");
  expect(unitOf("nf_conntrack_events")).toBe("number");
});
