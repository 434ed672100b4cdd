/** Recorded points as curves: in order, with gaps where nothing is known. */
import type { Schemas } from "../api";

export type Point = Schemas["Point"];

/** From the bottom of the stack to its top. */
export const PROTOCOLS = ["tcp", "udp", "icmp", "icmpv6", "sctp", "gre", "other"] as const;

export const DRAWN = ["connections", "changes", "throughput"] as const;
export type Drawn = (typeof DRAWN)[number];

/** What can be told of a chart in words. */
export type Told = "connections" | "births" | "deaths" | "throughput";
export const TOLD: Readonly<Record<Drawn, readonly Told[]>> = {
  connections: ["connections"],
  changes: ["births", "deaths"],
  throughput: ["throughput"],
};

/** The kernel's counters that say that a connection was refused or given up. */
export const REFUSALS = ["drop", "early_drop", "insert_failed"] as const;

/** A place on the time axis; without a point nothing is known of it. */
export interface Slot {
  time: number;
  point?: Point;
}

/** Points with those of a later answer, which begins at `from`; what is older than `begin` goes. */
export function merged(before: readonly Point[], after: readonly Point[], from: number, begin: number): Point[] {
  return [...before.filter((point) => point.time < from), ...after].filter((point) => point.time >= begin);
}

/** The points with an empty place wherever one is missing, so that no line is drawn over it. */
export function spaced(points: readonly Point[], step: number): Slot[] {
  const slots: Slot[] = [];
  let due: number | undefined;
  for (const point of points) {
    if (due !== undefined && point.time > due + step / 2) slots.push({ time: due });
    slots.push({ time: point.time, point });
    due = point.time + step;
  }
  return slots;
}

export type Column = (number | null)[];

/** Values of the curves, in the order of the chart's series. */
export function curves(slots: readonly Slot[], drawn: Drawn): Column[] {
  const of = (value: (point: Point) => number | undefined): Column =>
    slots.map(({ point }) => (point === undefined ? null : (value(point) ?? null)));
  if (drawn === "changes") return [of((point) => point.births?.per_second), of((point) => point.deaths?.per_second)];
  if (drawn === "throughput") return [of((point) => point.bytes?.per_second)];
  return [
    ...PROTOCOLS.map((_, place) => of((point) => stacked(point, place))),
    of((point) => point.connections.mean),
    of((point) => point.connections.max),
  ];
}

/** How high the stack is at a protocol's upper edge. */
function stacked(point: Point, place: number): number | undefined {
  const { protocols } = point;
  if (protocols === undefined) return undefined;
  return PROTOCOLS.slice(0, place + 1).reduce((sum, name) => sum + (protocols[name] ?? 0), 0);
}

/** Values that stand alone between gaps: a line through one point is none, so they get a dot. */
export function lonely(column: readonly (number | null | undefined)[]): number[] {
  const isKnown = (place: number): boolean => typeof column[place] === "number";
  return column.flatMap((_, place) => (isKnown(place) && !isKnown(place - 1) && !isKnown(place + 1) ? [place] : []));
}

export interface Extent {
  present: number;
  least: number;
  most: number;
}

/** What of a curve can be said in one sentence. */
export function extent(points: readonly Point[], told: Told): Extent | undefined {
  const values = points.flatMap((point): Extent[] => {
    if (told === "connections") {
      const { mean, min, max } = point.connections;
      return [{ present: mean, least: min, most: max }];
    }
    const value = point[told === "throughput" ? "bytes" : told]?.per_second;
    return value === undefined ? [] : [{ present: value, least: value, most: value }];
  });
  const last = values.at(-1);
  if (last === undefined) return undefined;
  return values.reduce((all, value) => ({
    present: last.present,
    least: Math.min(all.least, value.least),
    most: Math.max(all.most, value.most),
  }));
}

/** What the kernel refused or gave up in a point's time: names and numbers, without zeros. */
export function refusals(point: Point): [name: (typeof REFUSALS)[number], sum: number][] {
  return REFUSALS.flatMap((name): [typeof name, number][] => {
    const sum = point.kernel?.[name]?.sum ?? 0;
    return sum > 0 ? [[name, sum]] : [];
  });
}

/** The same of many points. */
export function allRefusals(points: readonly Point[]): [name: (typeof REFUSALS)[number], sum: number][] {
  const all = new Map<(typeof REFUSALS)[number], number>();
  for (const point of points) {
    for (const [name, sum] of refusals(point)) all.set(name, (all.get(name) ?? 0) + sum);
  }
  return [...all];
}

/** Whether the limit is worth a line: the table was more than half full. */
export const isNear = (most: number, limit: number | undefined): limit is number =>
  limit !== undefined && limit > 0 && most >= limit / 2;

/** Labels of a time axis: as fine as its steps, with the date where a day begins. */
export function ticks(times: readonly number[], step: number, locale: string): string[] {
  const date = new Intl.DateTimeFormat(locale, { day: "numeric", month: "short" });
  const month = new Intl.DateTimeFormat(locale, { month: "short", year: "numeric" });
  const time = new Intl.DateTimeFormat(locale, {
    hour: "2-digit",
    minute: "2-digit",
    ...(step < 60 ? { second: "2-digit" } : {}),
    hourCycle: "h23",
  });
  return times.map((value) => {
    const at = new Date(value * 1000);
    if (step >= 28 * 86_400) return month.format(at);
    const isMidnight = at.getHours() === 0 && at.getMinutes() === 0 && at.getSeconds() === 0;
    return step >= 86_400 || isMidnight ? date.format(at) : time.format(at);
  });
}
