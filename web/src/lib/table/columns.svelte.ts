/** Which columns the table has, in which order and how wide: kept in this browser. */
import { MediaQuery } from "svelte/reactivity";
import type { Text } from "../../i18n/index.svelte";
import { moved, restored, clamp, type Kept } from "./layout";

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
  { id: "proto", text: "table.proto", sort: "proto", width: 84, isUsual: true, isBrief: true },
  { id: "source", text: "table.source", sort: "source", width: 186, isUsual: true, isBrief: true },
  { id: "destination", text: "table.destination", sort: "destination", width: 186, isUsual: true, isBrief: true },
  { id: "path", text: "table.path", sort: "translated", width: 408, isUsual: true },
  { id: "rate_orig", text: "table.rate_orig", sort: "rate_orig", width: 118, isNumber: true, isUsual: true, isBrief: true },
  { id: "rate_reply", text: "table.rate_reply", sort: "rate_reply", width: 118, isNumber: true, isUsual: true, isBrief: true },
  { id: "bytes", text: "table.bytes", sort: "bytes", width: 82, isNumber: true, isUsual: true, isBrief: true },
  { id: "state", text: "table.state", sort: "state", width: 114, isUsual: true, isBrief: true },
  { id: "status", text: "table.status", sort: "status", width: 96, isUsual: true },
  { id: "service", text: "table.service", sort: "", width: 80, isUsual: true },
  { id: "app", text: "table.app", sort: "", width: 104, isUsual: true },
  { id: "provider", text: "table.provider", sort: "", width: 76, isUsual: true },
  { id: "prio", text: "table.prio", sort: "", width: 80, isUsual: true },
  { id: "age", text: "table.age", sort: "age", width: 84, isNumber: true, isUsual: true, isBrief: true },
  { id: "timeout", text: "table.timeout", sort: "timeout", width: 88, isNumber: true, isUsual: true },
  { id: "packets", text: "table.packets", sort: "packets", width: 88, isNumber: true, isUsual: true },
  { id: "zone", text: "table.zone", sort: "zone", width: 62, isNumber: true, isUsual: true },
  { id: "mark", text: "table.mark", sort: "mark", width: 96, isNumber: true, isUsual: true },
  { id: "helper", text: "table.helper", sort: "helper", width: 80 },
  { id: "labels", text: "table.labels", sort: "labels", width: 84, isNumber: true },
];

const BY_ID = new Map(COLUMNS.map((column) => [column.id, column]));
const KEPT = "tracklight.columns";
const narrow = new MediaQuery("max-width: 700px");

function usual(isNarrow: boolean): Kept {
  return {
    order: COLUMNS.map((column) => column.id),
    shown: COLUMNS.filter((column) => (isNarrow ? column.isBrief : column.isUsual)).map((column) => column.id),
    widths: {},
  };
}

class Columns {
  /** Nothing before somebody chose. */
  #own = $state.raw<Kept | undefined>(restored(localStorage.getItem(KEPT), [...BY_ID.keys()]));
  readonly #kept = $derived(this.#own ?? usual(narrow.current));

  /** All, in order, for choosing. */
  readonly all = $derived(this.#kept.order.map((id) => BY_ID.get(id)).filter((column) => column !== undefined));
  readonly shown = $derived(this.all.filter((column) => this.#kept.shown.includes(column.id)));
  readonly template = $derived(this.shown.map((column) => `${this.width(column)}px`).join(" "));
  readonly total = $derived(this.shown.reduce((sum, column) => sum + this.width(column), 0));

  /** How many of those that are shown begin before a place, from the left edge of the first. */
  before(place: number): number {
    let edge = 0;
    const end = this.shown.findIndex((column) => {
      if (edge >= place) return true;
      edge += this.width(column);
      return false;
    });
    return end < 0 ? this.shown.length : end;
  }

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
    this.#own = undefined;
  }

  #keep(change: Partial<Kept>): void {
    this.#own = { ...this.#kept, ...change };
    localStorage.setItem(KEPT, JSON.stringify(this.#own));
  }
}

export const columns = new Columns();
