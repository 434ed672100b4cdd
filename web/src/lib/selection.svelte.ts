/** Connections that somebody has chosen in the table, by their names. */
import { SvelteSet } from "svelte/reactivity";

class Selection {
  readonly names = new SvelteSet<string>();

  clear(): void {
    this.names.clear();
  }

  set(name: string, isChosen: boolean): void {
    if (isChosen) this.names.add(name);
    else this.names.delete(name);
  }

  toggle(name: string): void {
    this.set(name, !this.names.has(name));
  }
}

export const selection = new Selection();
