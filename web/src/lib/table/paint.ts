/**
 * Draws rows into elements that stay: while a table is scrolled, thirty rows of twenty cells have other contents with
 * every step, and making and removing their elements would take longer than a frame lasts. Only what differs from what
 * an element shows already is written.
 */
import type { Connection } from "../api";
import type { Column } from "./columns.svelte";
import { CELLS, type Now, type Piece } from "./pieces";
import type { Slot } from "./slots";

/** Texts of a row in the reader's language. */
export interface Words {
  select: string;
  open: string;
  noNat: string;
  loading: string;
  gone: string;
}

export interface Painted {
  slot: Slot;
  columns: readonly Column[];
  moment: (row: Connection) => Now;
  isCursor: boolean;
  isChosen: boolean;
  /** Which of the row's values the keyboard is at; -1 for none. */
  value: number;
  words: Words;
}

/** A piece's element, and what it shows. */
class Span {
  readonly element = document.createElement("span");
  readonly #text = document.createTextNode("");
  readonly #start = document.createElement("span");
  readonly #startText = document.createTextNode("");
  #bar: HTMLElement | undefined;
  #shown: Piece = { text: "" };
  #isHidden = false;

  constructor(private readonly cell: HTMLElement) {
    this.#start.className = "start";
    this.#start.append(this.#startText);
    this.element.append(this.#text);
    cell.append(this.element);
  }

  get term(): string | undefined {
    return this.#isHidden ? undefined : this.#shown.term;
  }

  paint(piece: Piece): void {
    const old = this.#shown;
    this.#hide(false);
    if (piece.text !== old.text || piece.tail !== old.tail) this.#write(piece);
    if (piece.term !== old.term) {
      if (piece.term === undefined) delete this.element.dataset["term"];
      else this.element.dataset["term"] = piece.term;
    }
    if (piece.look !== old.look || (piece.term === undefined) !== (old.term === undefined) || (piece.tail === undefined) !== (old.tail === undefined)) {
      const marks = `${piece.term === undefined ? "" : " value"}${piece.tail === undefined ? "" : " long"}`;
      this.element.className = (piece.look ?? "") + marks;
    }
    if (piece.bar !== old.bar || piece.look !== old.look) this.#drawBar(piece);
    this.#shown = piece;
  }

  hide(): void {
    this.#hide(true);
  }

  #hide(isHidden: boolean): void {
    if (isHidden === this.#isHidden) return;
    this.#isHidden = isHidden;
    this.element.hidden = isHidden;
    if (this.#bar !== undefined) this.#bar.hidden = isHidden;
  }

  #write(piece: Piece): void {
    if (piece.tail === undefined) {
      this.#start.remove();
      this.#text.data = piece.text;
      return;
    }
    if (this.#start.parentNode === null) this.element.prepend(this.#start);
    this.#startText.data = piece.text;
    this.#text.data = piece.tail;
  }

  #drawBar(piece: Piece): void {
    if (piece.bar === undefined) {
      this.#bar?.remove();
      this.#bar = undefined;
      return;
    }
    if (this.#bar === undefined) {
      this.#bar = document.createElement("i");
      this.cell.insertBefore(this.#bar, this.element);
    }
    this.#bar.className = `bar ${piece.look ?? ""}`;
    this.#bar.style.setProperty("--part", piece.bar.toFixed(2));
  }
}

class Cell {
  readonly element = document.createElement("div");
  readonly spans: Span[] = [];
  #column = "";

  constructor() {
    this.element.setAttribute("role", "gridcell");
  }

  paint(column: Column, pieces: readonly Piece[]): void {
    if (column.id !== this.#column) {
      this.#column = column.id;
      this.element.className = column.isNumber === true ? "cell number" : "cell";
      this.element.dataset["column"] = column.id;
      this.element.removeAttribute("title");
    }
    pieces.forEach((piece, at) => (this.spans[at] ??= new Span(this.element)).paint(piece));
    for (let at = pieces.length; at < this.spans.length; at += 1) this.spans[at]?.hide();
  }
}

/** The elements of one row of the page. */
export class Painter {
  readonly #cells: Cell[] = [];
  readonly #all = document.createElement("div");
  readonly #check = document.createElement("input");
  readonly #open = document.createElement("button");
  #words: Words | undefined;
  #at: HTMLElement | undefined;
  #shown: Painted | undefined;
  #y: number | undefined;

  constructor(private readonly element: HTMLElement) {
    this.#check.type = "checkbox";
    this.#open.className = "plain";
    this.#open.dataset["open"] = "";
    this.#open.textContent = "›";
    const own = document.createElement("div");
    own.className = "cell own";
    own.setAttribute("role", "gridcell");
    // The grid is one stop of the Tab key; x and Enter do what these do.
    for (const part of [this.#check, this.#open]) {
      part.tabIndex = -1;
      own.append(part);
    }
    this.#all.className = "cells";
    this.#all.setAttribute("role", "none");
    element.append(own, this.#all);
  }

  /** Whether it shows the keyboard's place. */
  get isCursor(): boolean {
    return this.#shown?.isCursor ?? false;
  }

  /** Where it stands: at once, whenever its contents come. */
  move(y: number): void {
    if (y === this.#y) return;
    this.#y = y;
    this.element.style.transform = `translateY(${y}px)`;
  }

  /** Whether it shows this place already, though perhaps not as it is now. */
  shows({ place, there }: Slot): boolean {
    const shown = this.#shown?.slot;
    if (shown?.place !== place || shown.there.kind !== there.kind) return false;
    return there.kind !== "row" || shown.there.kind !== "row" || shown.there.row.name === there.row.name;
  }

  /** Shows nothing until it is painted: what it had is of another place. */
  wait(now: Painted): void {
    const slot: Slot = { place: now.slot.place, there: { kind: "loading" } };
    const nothing: Painted = { ...now, slot, isCursor: false, words: { ...now.words, loading: "" } };
    this.#frame(nothing);
    this.#shown = nothing;
  }

  paint(now: Painted): void {
    const { slot, words } = now;
    if (words !== this.#words) this.#say(words);
    this.#frame(now);
    if (slot.there.kind === "row") this.#fill(now, slot.there.row);
    this.#point(now);
    this.#shown = now;
  }

  #say(words: Words): void {
    this.#words = words;
    this.#check.setAttribute("aria-label", words.select);
    this.#open.setAttribute("aria-label", words.open);
    this.#open.title = words.open;
  }

  /** What is told of the row as a whole. */
  #frame({ slot, isCursor, isChosen, words }: Painted): void {
    const { place, there } = slot;
    const { element } = this;
    const old = this.#shown;
    const change = there.kind === "row" ? (there.hasEnded ? "ended" : (there.change ?? "")) : there.kind;
    const look = `row ${change}${place % 2 === 1 ? " odd" : ""}${isCursor ? " cursor" : ""}${isChosen ? " chosen" : ""}`;
    if (element.className !== look) element.className = look;
    if (old?.slot.place !== place) {
      element.id = `row-${place}`;
      element.dataset["place"] = String(place);
      element.setAttribute("aria-rowindex", String(place + 2));
    }
    const name = there.kind === "row" ? there.row.name : undefined;
    if (element.dataset["name"] !== name) {
      if (name === undefined) delete element.dataset["name"];
      else element.dataset["name"] = name;
    }
    if (old?.isChosen !== isChosen) element.setAttribute("aria-selected", String(isChosen));
    if (this.#check.checked !== isChosen) this.#check.checked = isChosen;
    // What a row showed before stays, unseen, until it has something to show again.
    const said = there.kind === "loading" ? words.loading : there.kind === "gone" ? words.gone : "";
    if (element.dataset["said"] !== said) element.dataset["said"] = said;
    if (there.kind === old?.slot.there.kind) return;
    if (there.kind === "row") this.#all.removeAttribute("aria-hidden");
    else this.#all.setAttribute("aria-hidden", "true");
  }

  #fill({ columns, moment, words }: Painted, row: Connection): void {
    const now = moment(row);
    columns.forEach((column, at) => {
      let cell = this.#cells[at];
      if (cell === undefined) {
        cell = new Cell();
        this.#cells.push(cell);
        this.#all.append(cell.element);
      }
      const pieces = CELLS[column.id]?.(row, now) ?? [];
      cell.paint(column, column.id === "path" ? pieces.map((piece) => told(piece, words)) : pieces);
    });
    for (const cell of this.#cells.splice(columns.length)) cell.element.remove();
  }

  /** Marks the value that the keyboard is at. */
  #point({ isCursor, value }: Painted): void {
    const wanted = isCursor && value >= 0 ? this.#values()[value] : undefined;
    if (wanted === this.#at && wanted?.classList.contains("at") !== false) return;
    this.#at?.classList.remove("at");
    wanted?.classList.add("at");
    this.#at = wanted;
  }

  #values(): HTMLElement[] {
    const spans = this.#cells.flatMap((cell) => cell.spans);
    return spans.filter((span) => span.term !== undefined).map((span) => span.element);
  }
}

const told = (piece: Piece, words: Words): Piece => (piece.look === "direct" ? { ...piece, text: words.noNat } : piece);
