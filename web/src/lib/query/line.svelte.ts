/** The query line: what is being typed, whether it is a query, and what can follow. */
import { api, call, type Schemas } from "../api";
import { go, put, view } from "../view.svelte";
import { kept } from "./kept.svelte";
import { charactersOf, unitsOf } from "./tokens";

/** How long nobody types before a query is checked, and before a right one is shown, in milliseconds. */
const CHECK = 80;
const APPLY = 450;

export interface Wrong {
  from: number;
  to: number;
  body: Schemas["ErrorBody"];
}

export interface Ahead {
  from: number;
  to: number;
  candidates: readonly Schemas["Candidate"][];
}

class Line {
  draft = $state(view.q);
  wrong = $state.raw<Wrong | undefined>();
  warnings = $state.raw<readonly Schemas["Warning"][]>([]);
  ahead = $state.raw<Ahead | undefined>();
  /** The chosen one of what can follow; -1 for none. */
  chosen = $state(-1);

  #applied = view.q;
  /** Whether this edit has made its step already. */
  #isStepped = false;
  #check: ReturnType<typeof setTimeout> | undefined;
  #apply: ReturnType<typeof setTimeout> | undefined;
  /** The text that was checked last, or is just being checked. */
  #checked: { text: string; ok: Promise<boolean> } | undefined;
  #askedAhead = 0;
  /** Place in the history; -1 is what is typed now. */
  #place = -1;
  #typed = "";

  /** The view has another query: a value was clicked, somebody went back. */
  follow(query: string): void {
    if (query === this.#applied) return;
    this.#applied = query;
    this.#isStepped = false;
    this.draft = query;
    this.#place = -1;
    clearTimeout(this.#apply);
    this.close();
    kept.note(query);
    void this.check();
  }

  /** Somebody typed. */
  type(text: string, cursor: number): void {
    // Until the daemon says it anew, what can follow is what still fits.
    this.#offer(this.ahead && narrowed(this.ahead, this.draft, text, cursor));
    this.draft = text;
    this.#place = -1;
    this.#later(cursor);
  }

  /** Checks it soon, and says what can follow at the cursor where one is given. */
  #later(cursor?: number): void {
    clearTimeout(this.#check);
    clearTimeout(this.#apply);
    const asked = this.#askedAhead;
    this.#check = setTimeout(() => {
      // Somebody may have asked at another place meanwhile.
      if (cursor === undefined || asked !== this.#askedAhead) void this.check();
      else void this.look(cursor);
    }, CHECK);
    // What was shown before the edit is a step to which "back" returns; what is shown on the way is none.
    this.#apply = setTimeout(() => void this.#show(this.#isStepped ? put : go), APPLY);
  }

  /** Whether it is a query. One text is asked for once; an answer for an earlier text does not count. */
  check(): Promise<boolean> {
    const text = this.draft;
    if (this.#checked?.text !== text) this.#checked = { text, ok: this.#ask(text) };
    return this.#checked.ok;
  }

  async #ask(text: string): Promise<boolean> {
    try {
      const isEmpty = text.trim() === "";
      const checked = await (isEmpty ? undefined : call(api.POST("/api/v1/query/check", { body: { query: text } })));
      if (this.#checked?.text !== text) return false;
      // What would help the kernel to filter is of no use here: the live table is searched.
      this.warnings = (checked?.explanation?.warnings ?? []).filter((warning) => warning.code !== "no-protocol");
      this.wrong = checked?.error === undefined ? undefined : placed(text, checked.error);
      return checked?.ok ?? true;
    } catch {
      // The daemon does not answer, which the page says elsewhere; it is asked again.
      if (this.#checked?.text === text) this.#checked = undefined;
      return false;
    }
  }

  /** Shows what was typed, as a step to which "back" returns. */
  async enter(): Promise<void> {
    clearTimeout(this.#check);
    this.close();
    await this.#show(this.#isStepped ? put : go);
    this.#isStepped = false;
    if (this.wrong === undefined) kept.note(this.draft);
  }

  async #show(how: typeof go): Promise<void> {
    clearTimeout(this.#apply);
    const text = this.draft;
    if (text === view.q) return void this.check();
    if (!(await this.check()) || text !== this.draft) return;
    this.#applied = text;
    this.#isStepped = true;
    how({ q: text });
  }

  /** Shows another query. */
  set(query: string): void {
    this.#isStepped = false;
    this.draft = query;
    void this.enter();
  }

  /** Asks what can follow at the cursor, in UTF-16 units. */
  async look(cursor: number): Promise<void> {
    const text = this.draft;
    this.#askedAhead += 1;
    const asked = this.#askedAhead;
    await this.check();
    if (asked !== this.#askedAhead || text !== this.draft) return;
    // Nothing can follow what is wrong already; what is being typed may be.
    if (this.wrong !== undefined && this.wrong.to < cursor) {
      this.close();
      return;
    }
    try {
      const params = { query: { query: text, cursor: charactersOf(text, cursor) } };
      const found = await call(api.GET("/api/v1/query/complete", { params }));
      if (asked !== this.#askedAhead || text !== this.draft) return;
      const from = unitsOf(text, found.offset);
      const to = unitsOf(text, found.offset + found.length);
      // Nothing to choose where the only way on is what stands there.
      const isDone = found.candidates.length === 1 && found.candidates[0]?.text === text.slice(from, to);
      this.#offer(isDone ? undefined : { from, to, candidates: found.candidates });
    } catch {
      this.close();
    }
  }

  /** Shows what can follow; what was chosen stays chosen where it still can. */
  #offer(ahead: Ahead | undefined): void {
    const chosen = this.ahead?.candidates[this.chosen]?.text;
    this.ahead = ahead?.candidates.length === 0 ? undefined : ahead;
    this.chosen = this.ahead?.candidates.findIndex((candidate) => candidate.text === chosen) ?? -1;
  }

  close(): void {
    this.#askedAhead += 1;
    this.ahead = undefined;
    this.chosen = -1;
  }

  /** Chooses the next or previous of what can follow, round and round. */
  choose(by: -1 | 1): void {
    const many = this.ahead?.candidates.length ?? 0;
    if (many === 0) return;
    this.chosen = this.chosen < 0 && by < 0 ? many - 1 : (this.chosen + by + many) % many;
  }

  /** Takes a candidate over. Returns where the cursor belongs. */
  accept(place: number): number | undefined {
    const ahead = this.ahead;
    const text = ahead?.candidates[place]?.text;
    if (ahead === undefined || text === undefined) return undefined;
    const behind = this.draft.slice(ahead.to);
    const gap = /^[\s),}]/.test(behind) ? "" : " ";
    this.draft = this.draft.slice(0, ahead.from) + text + gap + behind;
    this.close();
    this.#later();
    return ahead.from + text.length + 1;
  }

  /** The query before (1) or behind (-1) in the history. */
  recall(by: -1 | 1): void {
    const place = this.#place + by;
    if (place < -1 || place >= kept.history.length) return;
    if (this.#place === -1) this.#typed = this.draft;
    // What is shown now is the latest, and no step back.
    const isSame = place === 0 && by === 1 && kept.history[0] === this.draft.trim();
    this.#place = isSame && kept.history.length > 1 ? 1 : place;
    this.draft = this.#place === -1 ? this.#typed : (kept.history[this.#place] ?? this.draft);
    this.close();
    this.#later();
  }
}

/** What of it still can follow where somebody went on typing at its place. */
function narrowed(ahead: Ahead, before: string, text: string, cursor: number): Ahead | undefined {
  if (cursor < ahead.from || text.slice(0, ahead.from) !== before.slice(0, ahead.from)) return undefined;
  const typed = bare(text.slice(ahead.from, cursor));
  const candidates = ahead.candidates.filter((candidate) => bare(candidate.text).startsWith(typed));
  return { from: ahead.from, to: cursor, candidates };
}

/** As the daemon compares: no matter the case or an opened quotation. */
const bare = (text: string): string => text.replace(/^["']+/, "").toLowerCase();

function placed(text: string, body: Schemas["ErrorBody"]): Wrong {
  const from = unitsOf(text, body.offset ?? 0);
  return { from, to: unitsOf(text, (body.offset ?? 0) + (body.length ?? 0)), body };
}

export const line = new Line();
