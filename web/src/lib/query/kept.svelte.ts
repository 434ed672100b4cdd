/** Queries of before and queries with a name, kept in this browser. */

const HISTORY = "tracklight.history";
const SAVED = "tracklight.saved";
const MOST = 50;

export interface Saved {
  name: string;
  query: string;
}

function read<T>(key: string, isOne: (value: unknown) => value is T): T[] {
  try {
    const value: unknown = JSON.parse(localStorage.getItem(key) ?? "[]");
    return Array.isArray(value) ? value.filter(isOne) : [];
  } catch {
    return [];
  }
}

const isText = (value: unknown): value is string => typeof value === "string";
const isSaved = (value: unknown): value is Saved =>
  typeof value === "object" && value !== null && "name" in value && isText(value.name) && "query" in value && isText(value.query);

class Kept {
  /** The latest first. */
  history = $state.raw<readonly string[]>(read(HISTORY, isText));
  saved = $state.raw<readonly Saved[]>(read(SAVED, isSaved));

  /** Notes a query that was asked. */
  note(query: string): void {
    const text = query.trim();
    if (text === "" || this.history[0] === text) return;
    this.history = [text, ...this.history.filter((other) => other !== text)].slice(0, MOST);
    localStorage.setItem(HISTORY, JSON.stringify(this.history));
  }

  /** Keeps a query under a name; one that has the name already makes room. */
  keep(name: string, query: string): void {
    const rest = this.saved.filter((other) => other.name !== name);
    this.#save([...rest, { name, query }].sort((one, other) => one.name.localeCompare(other.name)));
  }

  forget(name: string): void {
    this.#save(this.saved.filter((other) => other.name !== name));
  }

  #save(saved: readonly Saved[]): void {
    this.saved = saved;
    localStorage.setItem(SAVED, JSON.stringify(saved));
  }
}

export const kept = new Kept();
