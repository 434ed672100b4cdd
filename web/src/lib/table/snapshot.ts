/**
 * A result of the daemon's, held under its cursor: rows and their order stay while the table moves.
 *
 * Rows are fetched in blocks as they are looked at, and again while they are looked at. A row keeps its place; one
 * that has ended keeps it too, so that nothing jumps.
 */
import { api, call, Failure, type Connection, type Schemas } from "../api";

export interface Asked {
  query: string;
  sort: string;
  reverse: boolean;
}

export type Place =
  | { kind: "row"; row: Connection; hasEnded: boolean }
  | { kind: "loading" }
  /** It had ended before it was looked at. */
  | { kind: "gone" };

interface Block {
  rows: Connection[];
  ended: Set<string>;
  /** How many places it has. */
  length: number;
}

export const BLOCK = 50;
/** Blocks that are remembered: what was looked at longest ago goes first. */
const MOST_BLOCKS = 60;
const AT_ONCE = 2;

const LOADING: Place = { kind: "loading" };
const GONE: Place = { kind: "gone" };

type Page = Schemas["Page"];

async function fetchPage(query: Record<string, string | number>, signal: AbortSignal): Promise<Page> {
  return (await call(api.GET("/api/v1/connections", { params: { query }, signal }))) as Page;
}

/** What of the request is not usual, as parameters. */
export function parameters(asked: Asked): Record<string, string> {
  return {
    ...(asked.query === "" ? {} : { query: asked.query }),
    ...(asked.sort === "" ? {} : { sort: asked.sort }),
    ...(asked.reverse ? { order: "desc" } : {}),
  };
}

export class Snapshot {
  readonly total: number;
  readonly #cursor: string | undefined;
  readonly #blocks = new Map<number, Block>();
  readonly #stop = new AbortController();
  readonly #changed: () => void;
  readonly #failed: (failure: Failure) => void;
  readonly #busy = new Set<number>();
  #first = 0;
  #last = 0;

  private constructor(page: Page, changed: () => void, failed: (failure: Failure) => void) {
    this.total = page.totals.connections;
    this.#cursor = page.cursor;
    this.#changed = changed;
    this.#failed = failed;
    // A single row has no pages behind it, and so no cursor.
    if (this.#cursor === undefined) this.#take(0, page.connections as Connection[]);
  }

  /** Asks for a result. `changed` is called whenever there are other rows to show. */
  static async of(
    asked: Asked,
    signal: AbortSignal,
    changed: () => void,
    failed: (failure: Failure) => void,
  ): Promise<Snapshot> {
    const page = await fetchPage({ ...parameters(asked), limit: 1 }, signal);
    return new Snapshot(page, changed, failed);
  }

  stop(): void {
    this.#stop.abort();
  }

  at(place: number): Place {
    const block = this.#blocks.get(Math.floor(place / BLOCK));
    if (block === undefined) return LOADING;
    const row = block.rows[place % BLOCK];
    return row === undefined ? GONE : { kind: "row", row, hasEnded: block.ended.has(row.name) };
  }

  /** Where a row is, if it was looked at. */
  placeOf(name: string): number | undefined {
    for (const [number, block] of this.#blocks) {
      const at = block.rows.findIndex((row) => row.name === name);
      if (at >= 0) return number * BLOCK + at;
    }
    return undefined;
  }

  /** What is looked at now: what is missing of it is fetched. */
  look(first: number, last: number): void {
    this.#first = Math.max(0, first);
    this.#last = Math.min(this.total - 1, last);
    this.#fill();
  }

  /** Whether all that is looked at is there. */
  get isWhole(): boolean {
    return this.#wanted().every((number) => this.#blocks.has(number));
  }

  /** Fetches again what is looked at. */
  async renew(): Promise<void> {
    for (const number of this.#wanted()) {
      if (this.#blocks.has(number) && !this.#busy.has(number)) await this.#fetch(number);
    }
  }

  /** Asks for next to nothing, so that the daemon does not forget the result. */
  async keep(): Promise<void> {
    if (this.#cursor !== undefined) await this.#ask({ limit: 1, columns: "name" });
  }

  /** Names of the rows from one place to another, also of those that were never looked at. */
  async names(first: number, last: number): Promise<string[]> {
    const names: string[] = [];
    let at = first;
    while (at <= last) {
      const there = this.at(at);
      if (there.kind === "loading") {
        const limit = Math.min(1000, last - at + 1);
        const page = await this.#ask({ offset: at, limit, columns: "name" });
        names.push(...(page?.connections ?? []).map((row) => String(row.name)));
        at += limit;
      } else {
        if (there.kind === "row" && !there.hasEnded) names.push(there.row.name);
        at += 1;
      }
    }
    return names;
  }

  #wanted(): number[] {
    const from = Math.floor(this.#first / BLOCK);
    const until = Math.floor(Math.max(this.#first, this.#last) / BLOCK);
    return Array.from({ length: until - from + 1 }, (_, at) => from + at);
  }

  #fill(): void {
    // What was given up would be refused at once, over and over.
    if (this.#stop.signal.aborted) return;
    for (const number of this.#wanted()) {
      if (this.#busy.size >= AT_ONCE) return;
      if (!this.#blocks.has(number) && !this.#busy.has(number)) void this.#fetch(number).then(() => this.#fill());
    }
  }

  async #fetch(number: number): Promise<void> {
    if (this.#cursor === undefined) return;
    this.#busy.add(number);
    const page = await this.#ask({ offset: number * BLOCK, limit: BLOCK });
    this.#busy.delete(number);
    if (page === undefined) return;
    this.#take(number, page.connections as Connection[]);
    this.#changed();
  }

  async #ask(more: Record<string, string | number>): Promise<Page | undefined> {
    try {
      return await fetchPage({ cursor: this.#cursor ?? "", ...more }, this.#stop.signal);
    } catch (failure) {
      if (!this.#stop.signal.aborted && failure instanceof Failure) {
        this.stop();
        this.#failed(failure);
      }
      return undefined;
    }
  }

  #take(number: number, rows: Connection[]): void {
    const before = this.#blocks.get(number);
    this.#blocks.delete(number);
    this.#blocks.set(number, merged(before, rows, Math.min(BLOCK, this.total - number * BLOCK)));
    for (const old of this.#blocks.keys()) {
      if (this.#blocks.size <= MOST_BLOCKS) break;
      this.#blocks.delete(old);
    }
  }
}

/** Rows that were there keep their places; those that are missing have ended. */
export function merged(before: Block | undefined, rows: Connection[], length: number): Block {
  if (before === undefined) return { rows, ended: new Set(), length };
  const now = new Map(rows.map((row) => [row.name, row]));
  const ended = new Set(before.rows.filter((row) => !now.has(row.name)).map((row) => row.name));
  return { rows: before.rows.map((row) => now.get(row.name) ?? row), ended, length };
}
