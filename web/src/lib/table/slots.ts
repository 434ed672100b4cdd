/** Rows of the page, each used again for another place of the list when its own is scrolled out of sight. */
import type { Place } from "./snapshot";
import type { Shown } from "./shown";

export interface Slot {
  place: number;
  there: Place & { change?: Shown["change"] };
}

/** Rows above and below what can be seen. */
const MORE = 3;

/** How many rows there must be for a window. */
export const poolFor = (view: number, height: number): number => Math.ceil(view / height) + 1 + 2 * MORE;

/**
 * What each row of the page shows: place `p` is always shown by row `p % pool`, so that a step of the scrolling
 * changes no more rows than came into sight. A slot that shows the same as before is the same object.
 */
export function slots(
  before: readonly (Slot | undefined)[],
  pool: number,
  top: number,
  total: number,
  at: (place: number) => Slot["there"],
): (Slot | undefined)[] {
  const first = Math.max(0, Math.min(top - MORE, total - pool));
  const all: (Slot | undefined)[] = Array.from({ length: pool }, () => undefined);
  for (let place = first; place < Math.min(total, first + pool); place += 1) {
    const there = at(place);
    const old = before[place % pool];
    all[place % pool] = old?.place === place && isSame(old.there, there) ? old : { place, there };
  }
  return all;
}

function isSame(one: Slot["there"], other: Slot["there"]): boolean {
  if (one.kind !== other.kind) return false;
  if (one.kind !== "row" || other.kind !== "row") return true;
  return one.row === other.row && one.hasEnded === other.hasEnded && one.change === other.change;
}
