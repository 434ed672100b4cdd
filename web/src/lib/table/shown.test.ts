import { expect, test } from "vitest";
import type { Connection } from "../api";
import { follow, keep, WINDOW, type Shown, type Told } from "./shown";

const row = (name: string): Connection => ({ name }) as Connection;
const rows = (from: number, many: number): Connection[] => Array.from({ length: many }, (_, at) => row(`c${from + at}`));
const names = (all: readonly Shown[]): string[] => all.map(({ row, change }) => `${row.name}${change === "" ? "" : ` ${change}`}`);
const told = (rows: Connection[], fresh: string[] = [], ended: Connection[] = []): Told => ({ rows, fresh: new Set(fresh), ended, isWhole: true });

test("rows that follow show for a moment where one ended", () => {
  const before = follow([], told(rows(0, 3)));
  expect(names(follow(before, told([row("c0"), row("c2"), row("c3")], ["c3"], [row("c1")])))).toEqual([
    "c0",
    "c1 ended",
    "c2",
    "c3 new",
  ]);
});

test("rows that are kept stay in their places, and what is new comes below", () => {
  const before = follow([], told(rows(0, 3)));
  const kept = keep(before, told([row("c3"), row("c2"), row("c0")], ["c3"], [row("c1")]));
  expect(names(kept)).toEqual(["c0", "c1 ended", "c2", "c3 new"]);
});

test("however long rows are kept, there are not more and more of them", () => {
  let shown: Shown[] = [];
  for (let second = 0; second < 100; second += 1) {
    shown = keep(shown, { ...told(rows(second * WINDOW, WINDOW)), isWhole: false });
  }
  expect(shown.length).toBe(2 * WINDOW);
  expect(shown[0]?.row.name).toBe("c0");
  expect(shown.at(-1)?.row.name).toBe(`c${100 * WINDOW - 1}`);
});
