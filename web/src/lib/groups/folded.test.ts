import { expect, test } from "vitest";
import type { Schemas } from "../api";
import { folded } from "./folded";

const group = (connections: number, bytes?: number): Schemas["Group"] => ({
  key: {},
  connections,
  uncounted: 0,
  ...(bytes === undefined ? {} : { bytes }),
});
const groups = (own: Schemas["Group"][], others?: Schemas["Sums"]): Schemas["Groups"] => ({
  by: ["src"],
  groups: own,
  total: { connections: 0, uncounted: 0 },
  names: {},
  complete: true,
  truth: {} as Schemas["Truth"],
  ...(others === undefined ? {} : { others }),
});

test("the first stay, the rest is among the others", () => {
  const all = folded(groups([group(5, 10), group(3, 7), group(2)], { groups: 4, connections: 9, uncounted: 1, bytes: 1 }), 1);
  expect(all.groups).toHaveLength(1);
  expect(all.others).toEqual({ groups: 6, connections: 14, uncounted: 1, bytes: 8 });
});

test("what nobody counted stays unknown", () => {
  expect(folded(groups([group(5), group(3)]), 1).others).toEqual({ groups: 1, connections: 3, uncounted: 0 });
  const few = groups([group(5)]);
  expect(folded(few, 1)).toBe(few);
});
