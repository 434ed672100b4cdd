import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Turns } from "./turns";

let planned: ((time: number) => void) | undefined;
let time = 0;

beforeEach(() => {
  time = 0;
  planned = undefined;
  vi.stubGlobal("requestAnimationFrame", (callback: (time: number) => void) => void (planned = callback));
});
afterEach(() => vi.unstubAllGlobals());

function frame(lasted: number): void {
  const callback = planned;
  planned = undefined;
  time += lasted;
  callback?.(time);
}

/** Paints a page of rows, and tells how many were painted in each frame. */
function page(turns: Turns, rows: readonly object[], lasts: number): number[] {
  let painted = 0;
  const frames: number[] = [];
  for (const row of rows) turns.paint(row, () => (painted += 1));
  while (planned !== undefined) {
    frame(lasts);
    if (painted > 0) frames.push(painted);
    painted = 0;
  }
  return frames;
}

const rows = Array.from({ length: 36 }, () => ({}));

test("a page is painted over several frames, the last wish of each row once", () => {
  const turns = new Turns();
  const shown: string[] = [];
  for (const [at, row] of rows.entries()) turns.paint(row, () => shown.push(`old ${at}`));
  const now = shown.length;
  expect(now).toBeGreaterThan(0);
  expect(now).toBeLessThan(rows.length);
  for (const [at, row] of rows.entries()) turns.paint(row, () => shown.push(`new ${at}`));
  for (let frames = 0; planned !== undefined && frames < 100; frames += 1) frame(16);
  expect(shown.filter((what) => what.startsWith("old"))).toHaveLength(now);
  expect(new Set(shown.slice(now))).toEqual(new Set(rows.map((_, at) => `new ${at}`)));
  expect(shown).toHaveLength(now + rows.length);
});

test("short frames come to paint more, long ones fewer, and never none", () => {
  const turns = new Turns();
  expect(page(turns, rows, 10).length).toBeGreaterThan(1);
  for (let times = 0; times < 20; times += 1) page(turns, rows, 10);
  expect(page(turns, rows, 10)).toEqual([rows.length]);
  for (let times = 0; times < 20; times += 1) page(turns, rows, 60);
  const long = page(turns, rows, 60);
  expect(Math.max(...long)).toBeLessThan(8);
  expect(long.reduce((all, painted) => all + painted, 0)).toBe(rows.length);
});

test("what is urgent is painted at once, and not a second time", () => {
  const turns = new Turns();
  const shown: string[] = [];
  for (const [at, row] of rows.entries()) turns.paint(row, () => shown.push(String(at)));
  expect(turns.paint(rows[35] as object, () => shown.push("urgent"), true)).toBe(true);
  expect(shown.at(-1)).toBe("urgent");
  while (planned !== undefined) frame(16);
  expect(shown).not.toContain("35");
  expect(shown).toHaveLength(rows.length);
});

test("who has left is not painted", () => {
  const turns = new Turns();
  const shown: number[] = [];
  for (const [at, row] of rows.entries()) turns.paint(row, () => shown.push(at));
  turns.leave(rows[35] as object);
  while (planned !== undefined) frame(16);
  expect(shown).not.toContain(35);
  expect(shown).toHaveLength(35);
});
