/** The table as it moves: one stream of the daemon's for the summary and the page that is watched. */
import type { Connection, Schemas, Summary, Totals, Truth } from "./api";

/** Which part of the table is watched; `limit` 0 for the summary alone. */
export interface Watched {
  query: string;
  sort: string;
  reverse: boolean;
  limit: number;
  offset: number;
}

export type Link = "connecting" | "live" | "offline" | "signed-out" | "refused";

interface PageFrame {
  connections: Connection[];
  totals: Totals;
  truth: Truth;
}

interface DifferenceFrame {
  added?: Connection[];
  changed?: Connection[];
  removed?: string[];
  order?: string[];
  totals?: Totals;
  truth?: Truth;
}

/** How long to wait before another try, in milliseconds. */
const AGAIN = 2000;
/** For how long a page that nobody sees goes on: over HTTP/1 a browser has six connections for all tabs together. */
const UNSEEN = 20_000;

class Live {
  /** The table in numbers; `undefined` before the first word of the daemon. */
  summary = $state.raw<Summary | undefined>();
  /** The rows that are watched, in order. */
  rows = $state.raw<readonly Connection[]>([]);
  totals = $state.raw<Totals | undefined>();
  link = $state<Link>("connecting");
  /** Why the stream was refused, such as a wrong query. */
  refusal = $state.raw<Schemas["ErrorBody"] | undefined>();
  /** Names of rows that came with the last difference, for a moment. */
  fresh = $state.raw<ReadonlySet<string>>(new Set());
  /** Rows that ended with the last difference. */
  ended = $state.raw<readonly Connection[]>([]);
  /** While it is frozen, rows stay as they are; the summary goes on. */
  frozen = $state(false);
  /** The summary before the last one, for rates. */
  #before: Summary | undefined;
  births = $state(0);
  deaths = $state(0);

  #source: EventSource | undefined;
  #byName = new Map<string, Connection>();
  #order: string[] = [];
  #again: ReturnType<typeof setTimeout> | undefined;
  #watched: string | undefined;
  #resting = false;
  #unseen: ReturnType<typeof setTimeout> | undefined;

  /** Rests while nobody sees the page, and goes on when somebody does. */
  seen(isSeen: boolean): void {
    clearTimeout(this.#unseen);
    if (!isSeen) {
      this.#unseen = setTimeout(() => {
        this.#resting = true;
        this.close();
      }, UNSEEN);
    } else if (this.#resting) {
      this.#resting = false;
      if (this.link !== "signed-out") this.#open();
    }
  }

  /** Watches another part of the table. */
  watch(what: Watched): void {
    const search = new URLSearchParams({ limit: String(what.limit) });
    if (what.limit > 0) {
      if (what.query !== "") search.set("query", what.query);
      if (what.sort !== "") search.set("sort", what.sort);
      if (what.reverse) search.set("order", "desc");
      if (what.offset > 0) search.set("offset", String(what.offset));
    }
    const url = `/api/v1/live?${search}`;
    if (url === this.#watched) return;
    this.#watched = url;
    this.#open();
  }

  /** Tries at once, where it waits to try again. */
  retry(): void {
    this.#open();
  }

  close(): void {
    clearTimeout(this.#again);
    this.#source?.close();
    this.#source = undefined;
  }

  #open(): void {
    this.close();
    const url = this.#watched;
    if (url === undefined || this.#resting) return;
    const source = new EventSource(url);
    this.#source = source;
    const on = (event: string, take: (data: string) => void): void =>
      source.addEventListener(event, (message) => {
        if (this.#source === source) take((message as MessageEvent<string>).data);
      });
    source.onopen = () => {
      this.link = "live";
      this.refusal = undefined;
    };
    on("summary", (data) => this.#summarise(JSON.parse(data) as Summary));
    on("page", (data) => this.#begin(JSON.parse(data) as PageFrame));
    on("difference", (data) => this.#differ(JSON.parse(data) as DifferenceFrame));
    on("signed-out", () => {
      this.close();
      this.link = "signed-out";
    });
    source.onerror = () => {
      if (this.#source !== source) return;
      this.close();
      void this.#failed(url);
    };
  }

  /** Browsers do not say why a stream was refused: it is asked once more, for the answer's own words. */
  async #failed(url: string): Promise<void> {
    const asked = new AbortController();
    try {
      const answer = await fetch(url, { signal: asked.signal, headers: { Accept: "application/json" } });
      if (url !== this.#watched) return;
      if (answer.status === 401) this.link = "signed-out";
      else if (answer.status === 400) {
        this.link = "refused";
        this.refusal = (await answer.json()) as Schemas["ErrorBody"];
        if (url === this.#watched) this.#summaryAlone();
        return;
      } else this.link = "offline";
    } catch {
      if (url === this.#watched) this.link = "offline";
    } finally {
      asked.abort();
    }
    if (url !== this.#watched || this.link === "signed-out") return;
    this.#again = setTimeout(() => this.#open(), AGAIN);
  }

  /** What is refused is the query: the table in numbers goes on. */
  #summaryAlone(): void {
    this.close();
    if (this.#resting) return;
    const source = new EventSource("/api/v1/live?limit=0");
    this.#source = source;
    source.addEventListener("summary", (message) => {
      if (this.#source === source) this.#summarise(JSON.parse((message as MessageEvent<string>).data) as Summary);
    });
    source.addEventListener("signed-out", () => {
      if (this.#source !== source) return;
      this.close();
      this.link = "signed-out";
    });
    source.onerror = () => {
      if (this.#source !== source) return;
      this.close();
      this.#again = setTimeout(() => this.#open(), AGAIN);
    };
  }

  #summarise(summary: Summary): void {
    const before = this.#before;
    if (before !== undefined && summary.time_ns > before.time_ns) {
      const seconds = (summary.time_ns - before.time_ns) / 1e9;
      this.births = Math.max(0, (summary.births - before.births) / seconds);
      this.deaths = Math.max(0, (summary.deaths - before.deaths) / seconds);
    }
    this.#before = summary;
    this.summary = summary;
  }

  #begin(page: PageFrame): void {
    this.#byName = new Map(page.connections.map((row) => [row.name, row]));
    this.#order = page.connections.map((row) => row.name);
    this.totals = page.totals;
    if (this.frozen) return;
    this.fresh = new Set();
    this.ended = [];
    this.rows = page.connections;
  }

  #differ(difference: DifferenceFrame): void {
    const ended: Connection[] = [];
    for (const name of difference.removed ?? []) {
      const row = this.#byName.get(name);
      if (row !== undefined) ended.push(row);
      this.#byName.delete(name);
    }
    for (const row of [...(difference.added ?? []), ...(difference.changed ?? [])]) {
      this.#byName.set(row.name, row);
    }
    this.#order = difference.order ?? this.#order.filter((name) => this.#byName.has(name));
    if (difference.totals !== undefined) this.totals = difference.totals;
    if (this.frozen) return;
    this.fresh = new Set((difference.added ?? []).map((row) => row.name));
    this.ended = ended;
    this.#show();
  }

  #show(): void {
    const rows = this.#order.map((name) => this.#byName.get(name));
    this.rows = rows.filter((row) => row !== undefined);
  }

  /** Holds the rows, or lets them go on from the present. */
  freeze(to: boolean): void {
    this.frozen = to;
    if (!to) this.#show();
  }
}

export const live = new Live();
