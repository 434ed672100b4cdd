import { expect, test } from "vitest";
import { poolFor, slots, type Slot } from "./slots";

const at = (): Slot["there"] => ({ kind: "loading" });

test("a step changes no more rows than come into sight", () => {
  const pool = poolFor(300, 30);
  const before = slots([], pool, 100, 1000, at);
  const after = slots(before, pool, 101, 1000, at);
  expect(before.filter((slot) => slot === undefined)).toEqual([]);
  expect(after.filter((slot, row) => slot !== before[row])).toHaveLength(1);
});

test("the last row is shown, and none behind it", () => {
  const pool = poolFor(300, 30);
  const places = slots([], pool, 990, 1000, at).map((slot) => slot?.place ?? -1);
  expect(Math.max(...places)).toBe(999);
  const few = slots([], pool, 0, 3, at).filter((slot) => slot !== undefined);
  expect(few.map((slot) => slot.place)).toEqual([0, 1, 2]);
});
