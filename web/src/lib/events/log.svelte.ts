/** Births, changes and deaths as they are told, with what the stream says about itself. */
import { type Connection, type Schemas } from "../api";

export const KINDS = ["new", "update", "destroy"] as const;
export type Kind = (typeof KINDS)[number];

export interface Happened {
  number: number;
  kind: Kind;
  time: number;
  entry: Connection;
  /** The state before, where it is known and another one. */
  before: string | undefined;
}

/** Something that the stream says about itself, among the events. */
export interface Said {
  number: number;
  kind: "gap" | "lost" | "too-slow" | "signed-out" | "broken" | "again";
  time: number;
  /** How many events, where somebody counted. */
  missed: number | undefined;
}

export type Line = Happened | Said;

export const isEvent = (line: Line): line is Happened => "entry" in line;

export type Link = "connecting" | "live" | "broken" | "signed-out" | "refused";

/** How many lines are kept. */
export const MOST = 2000;
/** How often lines come onto the screen, in milliseconds. */
const SHOWN = 250;
const AGAIN = 2000;
/** How many connections' states are remembered, to say what changed. */
const STATES = 20_000;

interface Told {
  event: Kind;
  time_ns: number;
  entry: Connection;
}

export class Log {
  /** The newest first. */
  lines = $state.raw<readonly Line[]>([]);
  link = $state<Link>("connecting");
  refusal = $state.raw<Schemas["ErrorBody"] | undefined>();
  isPaused = $state(false);
  /** How many events came since it was paused. */
  meanwhile = $state(0);
  counts = $state.raw<Readonly<Record<Kind, number>>>({ new: 0, update: 0, destroy: 0 });
  /** Lines that left for newer ones, or were never shown. */
  forgotten = $state(0);

  #source: EventSource | undefined;
  #query = "";
  #lastId = "";
  #waiting: Line[] = [];
  #new: Record<Kind, number> = { new: 0, update: 0, destroy: 0 };
  #skipped = 0;
  #states = new Map<string, string>();
  #number = 0;
  #shows: ReturnType<typeof setTimeout> | undefined;
  #again: ReturnType<typeof setTimeout> | undefined;

  /** Tells what a query selects, from now on. Returns what ends it: made for `$effect`. */
  watch(query: string): () => void {
    this.#query = query;
    this.#lastId = "";
    this.clear();
    this.#open();
    return () => this.close();
  }

  close(): void {
    clearTimeout(this.#again);
    clearTimeout(this.#shows);
    this.#shows = undefined;
    this.#source?.close();
    this.#source = undefined;
  }

  retry(): void {
    this.#open();
  }

  /** Forgets what was told. */
  clear(): void {
    this.#waiting = [];
    this.#new = { new: 0, update: 0, destroy: 0 };
    this.#skipped = 0;
    this.#states.clear();
    this.lines = [];
    this.counts = { ...this.#new };
    this.meanwhile = 0;
    this.forgotten = 0;
  }

  pause(to: boolean): void {
    this.isPaused = to;
    this.meanwhile = 0;
    if (!to) this.#show();
  }

  #open(): void {
    this.close();
    this.link = "connecting";
    this.refusal = undefined;
    const search = new URLSearchParams();
    if (this.#query.trim() !== "") search.set("query", this.#query);
    if (this.#lastId !== "") search.set("last_event_id", this.#lastId);
    const url = search.size === 0 ? "/api/v1/events" : `/api/v1/events?${search}`;
    const source = new EventSource(url);
    this.#source = source;
    const on = (name: string, take: (message: MessageEvent<string>) => void): void =>
      source.addEventListener(name, (message) => {
        if (this.#source === source) take(message as MessageEvent<string>);
      });
    source.onopen = () => {
      if (this.link === "broken") this.#say("again");
      this.link = "live";
    };
    for (const kind of KINDS) {
      on(kind, (message) => {
        this.#lastId = message.lastEventId;
        this.#happen(JSON.parse(message.data) as Told);
      });
    }
    on("gap", (message) => this.#say("gap", missedOf(message.data)));
    on("lost", (message) => this.#say("lost", missedOf(message.data)));
    // The browser comes back by itself, with the last id that it had.
    on("too-slow", () => this.#say("too-slow"));
    on("signed-out", () => {
      this.#say("signed-out");
      this.#show();
      this.close();
      this.link = "signed-out";
    });
    source.onerror = () => {
      if (this.#source !== source) return;
      if (this.link === "live") this.#say("broken");
      this.link = "broken";
      if (source.readyState === EventSource.CLOSED) void this.#failed(url);
    };
  }

  /** Browsers do not say why a stream was refused: it is asked once more, for the answer's own words. */
  async #failed(url: string): Promise<void> {
    const source = this.#source;
    const asked = new AbortController();
    try {
      const answer = await fetch(url, { signal: asked.signal, headers: { Accept: "text/event-stream" } });
      if (source !== this.#source) return;
      if (answer.status === 401) this.link = "signed-out";
      else if (answer.status === 400) {
        this.refusal = (await answer.json()) as Schemas["ErrorBody"];
        this.link = "refused";
      }
    } catch {
      // It is not there: it is tried again.
    } finally {
      asked.abort();
    }
    if (source !== this.#source || this.link !== "broken") return;
    this.#again = setTimeout(() => {
      const wasBroken = this.link === "broken";
      this.#open();
      if (wasBroken) this.link = "broken";
    }, AGAIN);
  }

  #happen({ event, time_ns, entry }: Told): void {
    const before = this.#states.get(entry.name);
    if (event === "destroy") this.#states.delete(entry.name);
    else if (entry.state !== undefined) {
      if (this.#states.size >= STATES) this.#states.clear();
      this.#states.set(entry.name, entry.state);
    }
    this.#new[event] += 1;
    if (this.isPaused) this.meanwhile += 1;
    this.#add({
      number: (this.#number += 1),
      kind: event,
      time: time_ns,
      entry,
      before: before === entry.state ? undefined : before,
    });
  }

  #say(kind: Said["kind"], missed?: number): void {
    this.#add({ number: (this.#number += 1), kind, time: Date.now() * 1e6, missed });
  }

  #add(line: Line): void {
    this.#waiting.push(line);
    if (this.#waiting.length >= 2 * MOST) {
      this.#skipped += this.#waiting.length - MOST;
      this.#waiting = this.#waiting.slice(-MOST);
    }
    this.#shows ??= setTimeout(() => {
      this.#shows = undefined;
      if (!this.isPaused) this.#show();
    }, SHOWN);
  }

  #show(): void {
    this.counts = { ...this.#new };
    if (this.#waiting.length === 0) return;
    const all = [...this.#waiting.reverse(), ...this.lines];
    this.#waiting = [];
    this.forgotten += this.#skipped + Math.max(0, all.length - MOST);
    this.#skipped = 0;
    this.lines = all.slice(0, MOST);
  }
}

function missedOf(data: string): number | undefined {
  try {
    const said: unknown = JSON.parse(data);
    if (typeof said !== "object" || said === null) return undefined;
    const count = "missed" in said ? said.missed : "lost" in said ? said.lost : undefined;
    return typeof count === "number" ? count : undefined;
  } catch {
    return undefined;
  }
}
