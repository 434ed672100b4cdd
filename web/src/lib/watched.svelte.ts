/** One connection while it is looked at: as it is each second, what it moved, and which states were seen. */
import { api, call, Failure, type Connection, type Schemas } from "./api";
import { Poll } from "./poll.svelte";
import { changes, type Source, type Seen } from "./seen";

type Known = Schemas["Known"];

/** What moved a second, between two looks. */
export interface Sample {
  /** Milliseconds since the epoch. */
  at: number;
  up: number;
  down: number;
}

/** Seconds that the chart has. */
export const SPAN = 120;
/** One that changes its state all the time does not fill the memory. */
const MOST_SEEN = 200;

export class Watched {
  known = $state.raw<Known | undefined>();
  /** It is not in the table any more, or never was where nothing is known. */
  isEnded = $state(false);
  /** When it ended, where an event told so. */
  endedNs = $state<number | undefined>();
  /** When it was seen last. */
  seenNs = $state(0);
  samples = $state.raw<readonly Sample[]>([]);
  seen = $state.raw<readonly Seen[]>([]);
  readonly #name: string;
  readonly #poll: Poll<void>;
  #source: EventSource | undefined;
  #before: { at: number; up: number; down: number } | undefined;

  constructor(name: string) {
    this.#name = name;
    this.#poll = new Poll((signal) => this.#look(signal), 1000);
  }

  /** Why it could not be looked at just now. */
  get failure(): Failure | undefined {
    return this.#poll.failure;
  }

  /** Looks at it until the returned function is called. */
  start(): () => void {
    const stop = this.#poll.start();
    return () => {
      stop();
      this.#source?.close();
    };
  }

  /** What a change answers is newer than the last look. */
  take(known: Known): void {
    const row = known.connection;
    this.seenNs = Date.now() * 1e6;
    this.#see("poll", this.seenNs, row);
    this.#sample(row);
    this.known = known;
    this.#listen(row);
  }

  async #look(signal: AbortSignal): Promise<void> {
    const params = { path: { name: this.#name } };
    try {
      const known = await call(api.GET("/api/v1/connections/{name}", { params, signal }));
      if (!signal.aborted && !this.isEnded) this.take(known);
    } catch (failure) {
      if (failure instanceof Failure && failure.status === 404) this.#end(undefined);
      else throw failure;
    }
  }

  #end(time_ns: number | undefined): void {
    this.isEnded = true;
    this.endedNs ??= time_ns;
    this.#poll.stop();
    // Where a look was quicker than the event, the event still tells when it was.
    if (this.endedNs !== undefined || this.known === undefined) this.#source?.close();
  }

  #sample(row: Connection): void {
    const { orig, reply } = row;
    if (orig.bytes === undefined || reply.bytes === undefined) return;
    const now = { at: Date.now(), up: orig.bytes, down: reply.bytes };
    const before = this.#before;
    this.#before = now;
    if (before === undefined || now.at <= before.at) return;
    const seconds = (now.at - before.at) / 1000;
    // Counters can be set back by somebody who reads them so (conntrack -z).
    const up = Math.max(0, now.up - before.up) / seconds;
    const down = Math.max(0, now.down - before.down) / seconds;
    const from = now.at - SPAN * 1000;
    this.samples = [...this.samples.filter((sample) => sample.at >= from), { at: now.at, up, down }];
  }

  #listen(row: Connection): void {
    if (this.#source !== undefined || row.id === undefined) return;
    const source = new EventSource(`/api/v1/events?${new URLSearchParams({ query: `id == ${row.id}` })}`);
    this.#source = source;
    for (const kind of ["new", "update", "destroy"] as const) {
      source.addEventListener(kind, (message) => {
        const event = JSON.parse((message as MessageEvent<string>).data) as { time_ns: number; entry: Connection };
        if (event.entry.name !== this.#name) return;
        this.#see(kind, event.time_ns, event.entry);
        if (kind !== "destroy") return;
        // The event has the last counters.
        if (this.known !== undefined) this.known = { ...this.known, connection: { ...this.known.connection, ...event.entry } };
        this.#end(event.time_ns);
      });
    }
    source.addEventListener("signed-out", () => source.close());
  }

  #see(from: Source, time_ns: number, row: Connection): void {
    const last = this.seen.at(-1);
    this.seen = [...this.seen, ...changes(from, time_ns, row, last?.row)].slice(-MOST_SEEN);
  }
}
