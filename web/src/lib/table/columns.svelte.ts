/** Which columns the table has, in which order and how wide: kept in this browser. */
import type { Text } from "../../i18n/index.svelte";

export interface Column {
  id: string;
  text: Text;
  /** What the daemon sorts by; "" where it does not. */
  sort: string;
  width: number;
  isNumber?: boolean;
  /** Whether it is shown if nobody chose. */
  isUsual?: boolean;
  /** Whether it is shown on a narrow screen if nobody chose. */
  isBrief?: boolean;
}

export const COLUMNS: readonly Column[] = [
  { id: "proto", text: "table.proto", sort: "proto", width: 72, isUsual: true, isBrief: true },
  { id: "source", text: "table.source", sort: "source", width: 210, isUsual: true, isBrief: true },
  { id: "destination", text: "table.destination", sort: "destination", width: 210, isUsual: true, isBrief: true },
  { id: "path", text: "table.path", sort: "translated", width: 400, isUsual: true },
  { id: "state", text: "table.state", sort: "state", width: 116, isUsual: true, isBrief: true },
  { id: "status", text: "table.status", sort: "status", width: 108, isUsual: true },
  { id: "service", text: "table.service", sort: "", width: 84, isUsual: true },
  { id: "app", text: "table.app", sort: "", width: 96, isUsual: true },
  { id: "provider", text: "table.provider", sort: "", width: 84, isUsual: true },
  { id: "prio", text: "table.prio", sort: "", width: 78, isUsual: true },
  { id: "rate_orig", text: "table.rate_orig", sort: "rate_orig", width: 118, isNumber: true, isUsual: true, isBrief: true },
  { id: "rate_reply", text: "table.rate_reply", sort: "rate_reply", width: 118, isNumber: true, isUsual: true, isBrief: true },
  { id: "bytes", text: "table.bytes", sort: "bytes", width: 86, isNumber: true, isUsual: true, isBrief: true },
  { id: "packets", text: "table.packets", sort: "packets", width: 86, isNumber: true, isUsual: true },
  { id: "age", text: "table.age", sort: "age", width: 80, isNumber: true, isUsual: true, isBrief: true },
  { id: "timeout", text: "table.timeout", sort: "timeout", width: 86, isNumber: true, isUsual: true },
  { id: "zone", text: "table.zone", sort: "zone", width: 60, isNumber: true, isUsual: true },
  { id: "mark", text: "table.mark", sort: "mark", width: 92, isNumber: true, isUsual: true },
  { id: "helper", text: "table.helper", sort: "helper", width: 80 },
  { id: "labels", text: "table.labels", sort: "labels", width: 80, isNumber: true },
];

const BY_ID = new Map(COLUMNS.map((column) => [column.id, column]));
const KEPT = "tracklight.columns";
const LEAST = 44;
const MOST = 900;
/** Below this width a screen is narrow. */
const NARROW = 700;

interface Kept {
  order: string[];
  shown: string[];
  widths: Record<string, number>;
}

function usual(): Kept {
  const isNarrow = innerWidth < NARROW;
  return {
    order: COLUMNS.map((column) => column.id),
    shown: COLUMNS.filter((column) => (isNarrow ? column.isBrief : column.isUsual)).map((column) => column.id),
    widths: {},
  };
}

/** What was kept, as far as it still makes sense; columns that are new since then come last. */
export function restored(text: string | null, else_: Kept, ids: readonly string[]): Kept {
  if (text === null) return else_;
  try {
    const kept = JSON.parse(text) as Partial<Kept>;
    const known = (list: unknown): string[] =>
      Array.isArray(list) ? [...new Set(list as unknown[])].filter((id): id is string => ids.includes(id as string)) : [];
    const order = known(kept.order);
    const shown = known(kept.shown);
    if (shown.length === 0) return else_;
    const widths: Record<string, number> = {};
    for (const [id, width] of Object.entries(kept.widths ?? {})) {
      if (ids.includes(id) && Number.isFinite(width)) widths[id] = clamp(width);
    }
    return { order: [...order, ...ids.filter((id) => !order.includes(id))], shown, widths };
  } catch {
    return else_;
  }
}

const clamp = (width: number): number => Math.round(Math.min(MOST, Math.max(LEAST, width)));

/** A list with one of its members put before another, or behind it where it comes from the left. */
export function moved(order: readonly string[], id: string, to: string): string[] {
  const from = order.indexOf(id);
  const target = order.indexOf(to);
  if (from < 0 || target < 0 || from === target) return [...order];
  const rest = order.filter((other) => other !== id);
  rest.splice(target, 0, id);
  return rest;
}

class Columns {
  #kept = $state.raw<Kept>(restored(localStorage.getItem(KEPT), usual(), [...BY_ID.keys()]));

  /** All, in order, for choosing. */
  readonly all = $derived(this.#kept.order.map((id) => BY_ID.get(id)).filter((column) => column !== undefined));
  readonly shown = $derived(this.all.filter((column) => this.#kept.shown.includes(column.id)));
  readonly template = $derived(this.shown.map((column) => `${this.width(column)}px`).join(" "));
  readonly total = $derived(this.shown.reduce((sum, column) => sum + this.width(column), 0));

  width(column: Column): number {
    return this.#kept.widths[column.id] ?? column.width;
  }

  isShown(id: string): boolean {
    return this.#kept.shown.includes(id);
  }

  /** The last column stays. */
  show(id: string, isShown: boolean): void {
    const shown = this.#kept.shown.filter((other) => other !== id);
    if (isShown) shown.push(id);
    if (shown.length > 0) this.#keep({ shown });
  }

  resize(id: string, width: number): void {
    this.#keep({ widths: { ...this.#kept.widths, [id]: clamp(width) } });
  }

  put(id: string, to: string): void {
    this.#keep({ order: moved(this.#kept.order, id, to) });
  }

  /** Moves a column by one place among those that are there to be seen. */
  step(id: string, by: -1 | 1, among: readonly Column[] = this.shown): void {
    const next = among[among.findIndex((column) => column.id === id) + by];
    if (next !== undefined) this.put(id, next.id);
  }

  reset(): void {
    localStorage.removeItem(KEPT);
    this.#kept = usual();
  }

  #keep(change: Partial<Kept>): void {
    this.#kept = { ...this.#kept, ...change };
    localStorage.setItem(KEPT, JSON.stringify(this.#kept));
  }
}

export const columns = new Columns();
