/** A deletion on its way: looked at, confirmed, undone. */
import { t } from "../i18n/index.svelte";
import { api, call, Failure, type Schemas } from "./api";
import type { Asked } from "./deletion.svelte";
import { count } from "./format";
import { live } from "./live.svelte";
import { byNames } from "./selected";
import { toasts } from "./toasts.svelte";

export type Stage =
  /** Nothing was selected. */
  | "nothing"
  /** Everything was, which has to be said. */
  | "all"
  | "looking"
  | "preview"
  | "deleting"
  | "done"
  | "undoing"
  | "undone"
  /** It could not be looked at. */
  | "failed";

export class Removal {
  readonly asked: Asked;
  stage = $state<Stage>("looking");
  deletion = $state.raw<Schemas["Deletion"] | undefined>();
  failure = $state.raw<Failure | undefined>();
  /** The session that would be cut, as the daemon calls it; "" for none. */
  own = $state("");
  /** Until when the preview holds, or it can be undone, by this machine's clock. */
  until = $state(0);
  /** Nobody looks at it any more: what comes is told in a toast. */
  #isLeft = false;
  #asking: AbortController | undefined;

  constructor(asked: Asked) {
    this.asked = asked;
    if ("names" in asked && asked.names.length === 0) this.stage = "nothing";
    else if ("query" in asked && asked.query.trim() === "") this.stage = "all";
    else void this.look(false);
  }

  get isBusy(): boolean {
    return this.stage === "deleting" || this.stage === "undoing";
  }

  /** How many of the selected had ended before it was looked at. */
  get ended(): number {
    const { asked, deletion } = this;
    return "names" in asked && deletion !== undefined ? Math.max(0, asked.names.length - deletion.matched) : 0;
  }

  /** Asks what would be deleted. */
  async look(all: boolean): Promise<void> {
    this.#forget();
    this.#asking?.abort();
    const asking = new AbortController();
    this.#asking = asking;
    this.stage = "looking";
    this.failure = undefined;
    try {
      const { asked } = this;
      const query = "query" in asked ? asked.query : await byNames(asked.names, asking.signal);
      const { signal } = asking;
      this.#take(await call(api.POST("/api/v1/deletions", { body: { query, all }, signal })));
      this.stage = "preview";
    } catch (failure) {
      if (asking.signal.aborted) return;
      this.failure = failureOf(failure);
      // A query such as "tcp or not tcp" selects everything too.
      this.stage = this.failure.code === "refused" ? "all" : "failed";
    }
    // It was closed while the answer was under way.
    if (this.#isLeft) this.#forget();
  }

  /** Deletes what was shown; `force` also the own session. */
  async confirm(force: boolean): Promise<void> {
    const deletion = this.deletion;
    if (deletion === undefined) return;
    this.stage = "deleting";
    this.failure = undefined;
    try {
      const params = { path: { id: deletion.id } };
      this.#take(await call(api.POST("/api/v1/deletions/{id}/confirm", { params, body: { force } })));
      this.stage = "done";
    } catch (failure) {
      this.failure = failureOf(failure);
      if (this.failure.code === "own-session") this.own = sessionOf(this.failure.message);
      this.stage = "preview";
    }
    if (this.#isLeft) this.#tell();
  }

  get canUndo(): boolean {
    const deletion = this.deletion;
    return deletion?.state === "confirmed" && deletion.undoable && (deletion.result?.done ?? 0) > 0;
  }

  /** Puts back what was deleted. */
  async undo(): Promise<void> {
    const deletion = this.deletion;
    if (deletion === undefined || this.isBusy) return;
    this.stage = "undoing";
    this.failure = undefined;
    try {
      const params = { path: { id: deletion.id } };
      this.#take(await call(api.POST("/api/v1/deletions/{id}/undo", { params })));
      this.stage = "undone";
    } catch (failure) {
      this.failure = failureOf(failure);
      this.stage = "done";
    }
    if (this.#isLeft) this.#tell();
  }

  /** It is closed. What was not confirmed is forgotten, what was done is told where it can still be undone. */
  leave(): void {
    this.#isLeft = true;
    this.#asking?.abort();
    if (this.stage === "preview") this.#forget();
    else if (this.stage === "done" || this.stage === "undone") this.#tell();
  }

  #take(deletion: Schemas["Deletion"]): void {
    this.deletion = deletion;
    this.own = sessionOf(deletion.own_session ?? "");
    // The daemon's clock may not be this machine's; its summary is a second old at most.
    const now = live.summary?.time_ns ?? Date.now() * 1e6;
    this.until = Date.now() + (deletion.expires_ns - now) / 1e6;
  }

  #tell(): void {
    const { failure, deletion } = this;
    if (failure !== undefined) {
      toasts.say(failure.message === "" ? t("failure.offline") : failure.message);
    } else if (deletion?.undone !== undefined) {
      const { created, matched } = deletion.undone;
      toasts.say(t("deletion.toast.undone", { done: count(created), count: count(matched) }));
    } else if (deletion?.result !== undefined) {
      const { done, matched } = deletion.result;
      const text = t("deletion.toast.done", { done: count(done), count: count(matched) });
      toasts.say(text, this.canUndo ? { text: t("deletion.undo"), run: () => void this.undo() } : undefined);
    }
  }

  /** The daemon need not keep it: 16 at most wait. */
  #forget(): void {
    const deletion = this.deletion;
    this.deletion = undefined;
    if (deletion?.state !== "waiting") return;
    // Where this fails, it is forgotten in five minutes all the same.
    void call(api.DELETE("/api/v1/deletions/{id}", { params: { path: { id: deletion.id } } })).catch(() => undefined);
  }
}

/** "this is the session that you are in: SSH from …; nothing was deleted" → "SSH from …". */
export function sessionOf(text: string): string {
  return text.replace(/^[^:]*: /, "").replace(/; nothing was deleted$/, "");
}

export function failureOf(failure: unknown): Failure {
  if (failure instanceof Failure) return failure;
  return new Failure({ code: "internal", message: String(failure), hint: "" }, 0);
}
