import { expect, test } from "vitest";
import { clamp, moved, restored } from "./layout";

const ids = ["a", "b", "c"];

test("what was kept is restored as far as it makes sense", () => {
  expect(restored(null, ids)).toBeUndefined();
  expect(restored("no JSON", ids)).toBeUndefined();
  expect(restored('{"shown":["x"]}', ids)).toBeUndefined();
  expect(restored('{"order":["b","x","a"],"shown":["b"],"widths":{"b":2,"x":80,"a":null}}', ids)).toEqual({
    order: ["b", "a", "c"],
    shown: ["b"],
    widths: { b: 44 },
  });
});

test("a column takes the place of another", () => {
  expect(moved(ids, "a", "c")).toEqual(["b", "c", "a"]);
  expect(moved(ids, "c", "a")).toEqual(["c", "a", "b"]);
  expect(moved(ids, "a", "x")).toEqual(ids);
});

test("widths have bounds", () => {
  expect([clamp(1), clamp(99.6), clamp(1e9)]).toEqual([44, 100, 900]);
});
