import { expect, test } from "vitest";
import { allRefusals, curves, extent, isNear, lonely, merged, type Point, refusals, spaced, ticks } from "./series";

const point = (time: number, more: Partial<Point> = {}): Point => ({
  time,
  known_seconds: 1,
  connections: { mean: time, min: time - 1, max: time + 1 },
  ...more,
});

test("a later answer replaces what it is about, and the oldest goes", () => {
  const before = [point(1), point(2), point(3)];
  const after = [point(3, { limit: 9 }), point(4)];
  expect(merged(before, after, 3, 2).map(({ time, limit }) => [time, limit])).toEqual([
    [2, undefined],
    [3, 9],
    [4, undefined],
  ]);
});

test("what is missing is a gap, neither joined nor zero", () => {
  const slots = spaced([point(10), point(20), point(50), point(60)], 10);
  expect(slots.map(({ time, point: known }) => [time, known !== undefined])).toEqual([
    [10, true],
    [20, true],
    [30, false],
    [50, true],
    [60, true],
  ]);
  expect(curves(slots, "throughput")).toEqual([[null, null, null, null, null]]);
  expect(curves(slots, "connections").at(-2)).toEqual([10, 20, null, 50, 60]);
});

test("protocols are stacked, and unknown where they are not recorded", () => {
  const protocols = { tcp: 5, udp: 3, icmp: 0, icmpv6: 1, sctp: 0, gre: 0, other: 2 };
  const columns = curves(spaced([point(1, { protocols }), point(2)], 1), "connections");
  expect(columns.map((column) => column[0])).toEqual([5, 8, 8, 9, 9, 9, 11, 1, 2]);
  expect(columns.slice(0, 7).every((column) => column[1] === null)).toBe(true);
});

test("births and deaths are two curves", () => {
  const births = { sum: 4, per_second: 2 };
  expect(curves(spaced([point(1, { births })], 1), "changes")).toEqual([[2], [null]]);
});

test("a value alone between gaps gets a dot", () => {
  expect(lonely([null, 1, null, 2, 3, null, 4])).toEqual([1, 6]);
});

test("present, least and most", () => {
  expect(extent([point(5), point(3), point(4)], "connections")).toEqual({ present: 4, least: 2, most: 6 });
  expect(extent([point(5)], "throughput")).toBeUndefined();
  expect(extent([], "connections")).toBeUndefined();
});

test("what the kernel refused", () => {
  const amount = (sum: number) => ({ sum, per_second: sum });
  const full = point(1, { kernel: { drop: amount(2), insert_failed: amount(0), found: amount(9) } });
  expect(refusals(full)).toEqual([["drop", 2]]);
  expect(refusals(point(1))).toEqual([]);
  expect(allRefusals([full, full])).toEqual([["drop", 4]]);
});

test("the limit is drawn when it is near", () => {
  expect(isNear(50, 100)).toBe(true);
  expect(isNear(49, 100)).toBe(false);
  expect(isNear(49, 0)).toBe(false);
  expect(isNear(49, undefined)).toBe(false);
});

test("labels of the time axis are as fine as its steps", () => {
  const noon = new Date(2026, 4, 3, 12, 5, 7).getTime() / 1000;
  const midnight = new Date(2026, 4, 3).getTime() / 1000;
  expect(ticks([noon], 10, "en-GB")).toEqual(["12:05:07"]);
  expect(ticks([noon, midnight], 3600, "en-GB")).toEqual(["12:05", "3 May"]);
  expect(ticks([noon], 31 * 86_400, "en-GB")).toEqual(["May 2026"]);
});
