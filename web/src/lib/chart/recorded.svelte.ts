/** What was recorded of the time that the chart shows, kept up to the present. */
import { api, call, Failure } from "../api";
import { session } from "../session.svelte";
import { merged, type Point } from "./series";

/** How many points a chart has at most. */
const POINTS = 1000;
/** How often it is looked whether there is more, in milliseconds. */
const LEAST = 1000;
const MOST = 30_000;
/** What is read anew: amounts are spread over the time between two readings, so the latest points still change. */
const UNSETTLED = 15;

export interface Span {
  /** Seconds up to the present, where nothing is said of `from`. */
  range: number;
  from: number;
  until: number;
}

export class Recorded {
  points = $state.raw<readonly Point[]>([]);
  /** Seconds of one point. */
  step = $state(1);
  /** What of the time axis is shown, in seconds since the epoch. */
  from = $state(0);
  to = $state(0);
  failure = $state.raw<Failure | undefined>();
  /** Whether there was an answer for the present span. */
  isKnown = $state(false);
  #span: Span = { range: 0, from: 0, until: 0 };
  #timer: ReturnType<typeof setTimeout> | undefined;
  #asked: AbortController | undefined;

  /** Shows another time, and goes on with it. Returns what ends it: made for `$effect`. */
  watch(span: Span): () => void {
    this.stop();
    this.#span = span;
    this.isKnown = false;
    void this.#whole();
    return () => this.stop();
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#asked?.abort();
  }

  /** Tries again at once. */
  retry(): void {
    this.stop();
    void this.#whole();
  }

  async #whole(): Promise<void> {
    const { range, from, until } = this.#span;
    const isFixed = from > 0;
    const query = isFixed
      ? { from, ...(until > 0 ? { to: until } : {}), points: POINTS }
      : { last: Math.max(1, range), points: POINTS };
    await this.#ask(query, (answer) => {
      this.points = answer.points;
      this.step = answer.step;
      this.to = isFixed && until > 0 ? until : answer.to;
      this.from = isFixed ? from : answer.to - range;
      this.isKnown = true;
      // A time that is over stays as it is.
      if (isFixed && until > 0 && until < Date.now() / 1000 - UNSETTLED) return;
      this.#later(() => this.#more());
    });
  }

  async #more(): Promise<void> {
    const { range, until } = this.#span;
    const last = this.points.at(-1)?.time;
    if (last === undefined) return this.#whole();
    const begin = Math.max(1, Math.min(last, last - UNSETTLED) - 2 * this.step);
    const query = { from: begin, step: this.step, points: POINTS, ...(until > 0 ? { to: until } : {}) };
    await this.#ask(query, (answer) => {
      if (answer.step !== this.step) return this.#later(() => this.#whole());
      if (this.#span.from === 0) {
        this.to = answer.to;
        this.from = answer.to - range;
      }
      this.points = merged(this.points, answer.points, answer.from, this.from - this.step);
      this.#later(() => this.#more());
    });
  }

  async #ask(query: HistoryQuery, take: (answer: Answer) => void): Promise<void> {
    const asked = new AbortController();
    this.#asked = asked;
    try {
      const answer = await call(api.GET("/api/v1/history", { params: { query }, signal: asked.signal }));
      if (asked.signal.aborted) return;
      this.failure = undefined;
      take(answer);
    } catch (failure) {
      if (asked.signal.aborted) return;
      this.failure =
        failure instanceof Failure ? failure : new Failure({ code: "internal", message: String(failure), hint: "" }, 0);
      this.#later(() => (this.isKnown ? this.#more() : this.#whole()), 3000);
    }
  }

  #later(then: () => Promise<void>, after = Math.min(MOST, Math.max(LEAST, this.step * 500))): void {
    if (!session.isOver) this.#timer = setTimeout(() => void then(), after);
  }
}

interface HistoryQuery {
  last?: number;
  from?: number;
  to?: number;
  step?: number;
  points?: number;
}

interface Answer {
  from: number;
  to: number;
  step: number;
  points: Point[];
}
