/** Something that is asked for again and again while it is shown. */
import { Failure } from "./api";
import { session } from "./session.svelte";

export class Poll<T> {
  value = $state.raw<T | undefined>();
  /** Why the last try failed; the value before it stays. */
  failure = $state.raw<Failure | undefined>();
  #ask: (signal: AbortSignal) => Promise<T>;
  #every: number;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #asked: AbortController | undefined;

  /** `every` is in milliseconds, from an answer to the next question. */
  constructor(ask: (signal: AbortSignal) => Promise<T>, every: number) {
    this.#ask = ask;
    this.#every = every;
  }

  /** Asks now, and from then on. Returns what ends it: made for `$effect`. */
  start(): () => void {
    void this.now();
    return () => this.stop();
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#asked?.abort();
  }

  /** Asks at once; an answer to an earlier question does not count any more. */
  async now(): Promise<void> {
    this.stop();
    const asked = new AbortController();
    this.#asked = asked;
    try {
      const value = await this.#ask(asked.signal);
      if (asked.signal.aborted) return;
      this.value = value;
      this.failure = undefined;
    } catch (failure) {
      if (asked.signal.aborted) return;
      this.failure = failure instanceof Failure ? failure : new Failure({ code: "internal", message: String(failure), hint: "" }, 0);
    }
    // Whoever is signed out comes back to a page made anew.
    if (!session.isOver) this.#timer = setTimeout(() => void this.now(), this.#every);
  }
}
