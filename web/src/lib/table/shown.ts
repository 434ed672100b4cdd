/** The rows of the live stream as they are shown: where each stands, and what has become of it. */
import type { Connection } from "../api";

/** Rows of the live stream. */
export const WINDOW = 200;

export interface Shown {
  row: Connection;
  /** `left` has moved down out of the live window; it may live on. */
  change: "" | "new" | "ended" | "left";
}

/** What the live stream has told. */
export interface Told {
  rows: readonly Connection[];
  /** The names of those that began. */
  fresh: ReadonlySet<string>;
  ended: readonly Connection[];
  /** Whether these rows are all that there are. */
  isWhole: boolean;
}

/** The next rows, with those that ended at the places where they were. */
export function follow(before: readonly Shown[], { rows, fresh, ended, isWhole }: Told): Shown[] {
  const shown: Shown[] = rows.map((row) => ({ row, change: fresh.has(row.name) ? "new" : "" }));
  if (ended.length === 0) return shown;
  const leaving = new Set(ended.map((row) => row.name));
  before.forEach((old, place) => {
    if (!leaving.has(old.row.name) || place > WINDOW / 2) return;
    const change = isOver(old.row, leaving, isWhole) ? "ended" : "left";
    shown.splice(Math.min(place, shown.length), 0, { row: old.row, change });
  });
  return shown;
}

/** The next rows, each at the place where it was; those that came meanwhile are below them. */
export function keep(before: readonly Shown[], { rows, fresh, ended, isWhole }: Told): Shown[] {
  const left = new Map(rows.map((row) => [row.name, row]));
  const over = new Set(ended.map((row) => row.name));
  const kept = before.map((old): Shown => {
    const row = left.get(old.row.name);
    if (row !== undefined) {
      left.delete(row.name);
      return { row, change: "" };
    }
    if (old.change === "ended" || old.change === "left") return old;
    return { row: old.row, change: isOver(old.row, over, isWhole) ? "ended" : "left" };
  });
  // What is over stays in its place only where somebody may look: there would be more of it with every second.
  const stay = kept.filter(({ change }, place) => place < WINDOW || change === "");
  const more = [...left.values()].map((row): Shown => ({ row, change: fresh.has(row.name) ? "new" : "" }));
  return [...stay, ...more];
}

/** Whether a row that is not in the live window any more has ended, and did not only move down out of it. */
const isOver = (row: Connection, ended: ReadonlySet<string>, isWhole: boolean): boolean =>
  isWhole || (ended.has(row.name) && (row.status?.includes("DYING") ?? false));
