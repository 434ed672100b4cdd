/**
 * The rows of the table by their places: of the live stream while its top is shown, of a held result below it and
 * while it is frozen.
 */
import { untrack } from "svelte";
import type { Connection, Failure } from "../api";
import { live } from "../live.svelte";
import { follow, keep, type Shown } from "./shown";
import { Snapshot, type Asked, type Place } from "./snapshot";

/** How often held rows that are looked at are read again, in milliseconds. */
const EVERY = 1500;
/** How often a frozen result is asked for, so that it is not forgotten after five minutes. */
const KEEP = 120_000;
/** How long a place is looked at before its rows are asked for, in milliseconds. */
const GLANCE = 60;
/** How long a row that has ended is shown, in milliseconds. */
const FAREWELL = 1200;
/** How long rows keep their places for a pointer that rests on them, in milliseconds: it may have been left there. */
const POINTED = 60_000;

const NOTHING: Asked = { query: "", sort: "", reverse: false };

class Rows {
  /** Rises whenever a place may show something else. */
  version = $state(0);
  /** Whether places come from a held result. */
  isHeld = $state(false);
  failure = $state.raw<Failure | undefined>();
  /** Whether the top of the list is in sight. */
  isAtTop = true;
  /** Whether rows are still those of an earlier request. */
  isStale = $state(true);
  /** Rises when another result is shown, from its top. */
  begun = $state(0);
  /** Connections that began above since the rows are held. */
  above = $state(0);

  /** By how many milliseconds the daemon's clock is ahead of this one. */
  ahead = $state(0);

  #stale: readonly Connection[] | undefined;
  #asked: Asked = NOTHING;
  #limit = 0;
  #shown: Shown[] = [];
  #snapshot: Snapshot | undefined;
  #holding: AbortController | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #farewell: ReturnType<typeof setTimeout> | undefined;
  /** Whether rows keep their places for the pointer. */
  isPointed = $state(false);
  #pointed: ReturnType<typeof setTimeout> | undefined;
  #heldNames = new Set<string>();
  #heldSince = 0;
  #looking: ReturnType<typeof setTimeout> | undefined;
  #first = 0;
  #last = 0;
  #received = new WeakMap<Connection, number>();

  /** Shows another result from its top. */
  begin(asked: Asked, limit: number): void {
    this.#asked = asked;
    this.#limit = limit;
    // What was frozen is not what is asked for any more.
    if (live.frozen) live.freeze(false);
    this.isStale = true;
    this.#stale = live.rows;
    this.begun += 1;
    this.release();
  }

  /** The table is not shown any more. */
  leave(): void {
    if (live.frozen) live.freeze(false);
    this.release();
    clearTimeout(this.#farewell);
    clearTimeout(this.#pointed);
    this.isPointed = false;
  }

  /** The pointer is on the rows: they keep their places, so that a click meets what it aims at. */
  point(): void {
    clearTimeout(this.#pointed);
    this.isPointed = true;
    this.#pointed = setTimeout(() => this.unpoint(), POINTED);
  }

  /** The pointer has left, or was left lying: rows go where they belong. */
  unpoint(): void {
    clearTimeout(this.#pointed);
    if (!this.isPointed) return;
    this.isPointed = false;
    this.follow();
  }

  /** Compares the clocks; less than a second is the way and not a difference. */
  compare(daemon: number): void {
    const ahead = daemon - Date.now();
    if (Math.abs(ahead - this.ahead) > 1000) this.ahead = ahead;
  }

  /** How many places there are. */
  get total(): number {
    void this.version;
    const held = this.isHeld ? this.#snapshot?.total : undefined;
    // Those that have ended are shown beside those that are counted.
    const leaving = this.isHeld ? 0 : this.#shown.filter((shown) => shown.change === "ended").length;
    const all = held ?? Math.max(live.totals?.connections ?? 0, live.rows.length) + leaving;
    return this.#limit > 0 ? Math.min(this.#limit, all) : all;
  }

  at(place: number): Place & { change?: Shown["change"] } {
    if (this.isHeld && this.#snapshot !== undefined) return this.#snapshot.at(place);
    const shown = this.#shown[place];
    if (shown === undefined) return { kind: "loading" };
    return { kind: "row", row: shown.row, hasEnded: shown.change === "ended", change: shown.change };
  }

  placeOf(name: string): number | undefined {
    if (this.isHeld && this.#snapshot !== undefined) return this.#snapshot.placeOf(name);
    const place = this.#shown.findIndex((shown) => shown.row.name === name);
    return place < 0 ? undefined : place;
  }

  /** Names from one place to another. */
  async names(first: number, last: number): Promise<string[]> {
    if (this.isHeld && this.#snapshot !== undefined) return this.#snapshot.names(first, last);
    return this.#shown.slice(first, last + 1).map((shown) => shown.row.name);
  }

  /** Seconds since a row was received: its timeout is counted down from there. */
  since(row: Connection): number {
    const now = performance.now();
    const received = this.#received.get(row);
    if (received !== undefined) return (now - received) / 1000;
    this.#received.set(row, now);
    return 0;
  }

  /** The live stream has other rows: takes them over, with those that ended for a moment. */
  follow(): void {
    const { rows, fresh, ended } = live;
    untrack(() => {
      const isOther = this.isStale;
      if (rows !== this.#stale) this.isStale = false;
      if (this.isHeld || live.frozen) {
        this.#countAbove(rows);
        return;
      }
      const isWhole = (live.totals?.connections ?? 0) <= rows.length;
      const born = new Set([...fresh].filter((name) => isWhole || this.#isYoung(rows, name)));
      const next = this.isPointed && !isOther ? keep : follow;
      this.#shown = next(this.#shown, { rows, fresh: born, ended, isWhole });
      for (const row of rows) this.since(row);
      this.version += 1;
      clearTimeout(this.#farewell);
      if (ended.length + fresh.size > 0) this.#farewell = setTimeout(() => this.#forget(), FAREWELL);
    });
  }

  /** Whether a row came into the live window because it began, not because it moves more than others. */
  #isYoung(rows: readonly Connection[], name: string): boolean {
    const began = rows.find((row) => row.name === name)?.start_ns;
    const now = live.summary?.time_ns;
    return began !== undefined && now !== undefined && began > now - 3e9;
  }

  #forget(): void {
    // The others would move up.
    if (this.isPointed) return;
    const stay = this.#shown.filter((shown) => shown.change === "" || shown.change === "new");
    this.#shown = stay.map(({ row }) => ({ row, change: "" }));
    this.version += 1;
  }

  #countAbove(rows: readonly Connection[]): void {
    if (live.frozen) return;
    const isNew = (row: Connection): boolean =>
      !this.#heldNames.has(row.name) && (row.start_ns === undefined || row.start_ns > this.#heldSince);
    this.above = rows.filter(isNew).length;
  }

  /** Whether rows are held, or about to be. */
  get isHolding(): boolean {
    return this.#holding !== undefined;
  }

  /** Which places are looked at. */
  look(first: number, last: number): void {
    this.#first = first;
    this.#last = last;
    // While somebody rushes by, little is asked for.
    this.#looking ??= setTimeout(() => {
      this.#looking = undefined;
      this.#snapshot?.look(this.#first, this.#last);
    }, GLANCE);
  }

  /** Keeps rows and order as they are from now on. */
  async hold(): Promise<void> {
    if (this.#holding !== undefined) return;
    const holding = new AbortController();
    this.#holding = holding;
    this.#heldNames = new Set(live.rows.map((row) => row.name));
    this.#heldSince = live.summary?.time_ns ?? Date.now() * 1e6;
    this.above = 0;
    try {
      const failed = (failure: Failure): void => this.#failed(failure);
      const snapshot = await Snapshot.of(this.#asked, holding.signal, () => this.#arrived(), failed);
      if (holding.signal.aborted) return;
      this.#snapshot = snapshot;
      snapshot.look(this.#first, this.#last);
      this.#arrived();
      this.#plan();
    } catch (failure) {
      if (!holding.signal.aborted) this.#failed(failure as Failure);
    }
  }

  /** The live rows stay until all that is looked at is there. */
  #arrived(): void {
    if (this.#snapshot === undefined) return;
    if (this.isHeld || this.#snapshot.isWhole) {
      this.isHeld = true;
      this.failure = undefined;
      this.version += 1;
    }
  }

  #plan(): void {
    const again = live.frozen ? KEEP : EVERY;
    this.#timer = setTimeout(() => void this.#renew(), again);
  }

  async #renew(): Promise<void> {
    const snapshot = this.#snapshot;
    if (snapshot === undefined) return;
    if (live.frozen) await snapshot.keep();
    else await snapshot.renew();
    if (this.#snapshot === snapshot) this.#plan();
  }

  #failed(failure: Failure): void {
    this.#stop();
    // Forgotten by the daemon, after a sleep of this machine: asked for anew, at the same place.
    if (failure.code === "cursor-expired" || failure.status === 0 || failure.status === 503) {
      this.#timer = setTimeout(() => void this.hold(), failure.code === "cursor-expired" ? 0 : EVERY);
    } else this.failure = failure;
  }

  #stop(): void {
    clearTimeout(this.#timer);
    this.#holding?.abort();
    this.#holding = undefined;
    this.#snapshot?.stop();
  }

  /** Follows the live stream again. */
  release(): void {
    this.#stop();
    this.#snapshot = undefined;
    this.isHeld = false;
    this.failure = undefined;
    this.above = 0;
    this.follow();
  }

  /** Holds everything still, or goes on: from the present at the top, in place below it. */
  freeze(to: boolean, isAtTop: boolean): void {
    live.freeze(to);
    if (to) {
      void this.hold();
      return;
    }
    if (isAtTop) this.release();
    else {
      clearTimeout(this.#timer);
      void this.#renew();
    }
  }
}

export const table = new Rows();
