/** The row that the keyboard is at, and the rows that are chosen from it. It is known by its name: places move. */
import { selection } from "../selection.svelte";
import { table } from "./rows.svelte";

class Cursor {
  /** Place where it is, or was when its row was seen last; -1 for none. */
  place = $state(-1);
  name = $state("");
  /** Which of the row's values; -1 for the row itself. */
  value = $state(-1);
  #anchor: string | undefined;

  /** Where it is now. */
  now(): number {
    if (this.name === "") return this.place;
    return table.placeOf(this.name) ?? this.place;
  }

  to(place: number): void {
    this.place = place;
    const there = table.at(place);
    this.name = there.kind === "row" ? there.row.name : "";
    this.value = -1;
  }

  clear(): void {
    this.place = -1;
    this.name = "";
    this.value = -1;
    this.#anchor = undefined;
  }

  /** The row was chosen or not; further ones are chosen from here. */
  choose(name: string, isChosen: boolean): void {
    selection.set(name, isChosen);
    this.#anchor = name;
  }

  /** Chooses all from the row that was chosen last to this place, also those that were not looked at. */
  async chooseTo(place: number): Promise<void> {
    const from = this.#anchor === undefined ? undefined : table.placeOf(this.#anchor);
    const start = from ?? place;
    for (const name of await table.names(Math.min(start, place), Math.max(start, place))) selection.set(name, true);
  }
}

export const cursor = new Cursor();
