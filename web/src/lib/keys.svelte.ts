/** Keys of the whole page. A part adds those that it answers to while it is shown. */
import { untrack } from "svelte";
import type { Text } from "../i18n/index.svelte";

export interface Key {
  /** As `KeyboardEvent.key` says it, such as "/", " ", "Escape", "j", "Shift+ArrowDown". */
  key: string;
  /** What it does, for the list of keys. */
  text: Text;
  run: () => void;
  /** The element that must have the focus, where there is one. */
  within?: HTMLElement;
}

let all: readonly Key[] = [];
const shown = $state({ number: 0 });

/** Answers to keys until the returned function is called: made for `$effect`. */
export function keys(own: readonly Key[]): () => void {
  all = [...all, ...own];
  changed();
  return () => {
    all = all.filter((key) => !own.includes(key));
    changed();
  };
}

// An effect that adds keys does not depend on those of others.
const changed = (): void => untrack(() => void (shown.number += 1));

/** All keys that do something now. */
export function allKeys(): readonly Key[] {
  void shown.number;
  return all;
}

/** Whether somebody is typing, so that letters are letters. */
function isTyping(event: KeyboardEvent): boolean {
  const at = event.target;
  return at instanceof HTMLElement && (at.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(at.tagName));
}

const isPressed = (at: EventTarget | null): boolean => at instanceof Element && at.matches("button, a[href], summary");

addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  // A dialog over the page answers to its own keys, also where nothing in it has the focus.
  if (document.querySelector("dialog:modal") !== null) return;
  if (isTyping(event) && event.key !== "Escape") return;
  // A button that has the focus answers to the space bar itself, a link to Enter.
  if ((event.key === " " || event.key === "Enter") && isPressed(event.target)) return;
  // Shift is part of a letter, and is told of other keys.
  const pressed = event.shiftKey && event.key.length > 1 ? `Shift+${event.key}` : event.key;
  const found = all.findLast(({ key, within }) => key === pressed && (within === undefined || within === event.target));
  if (found === undefined) return;
  event.preventDefault();
  found.run();
});
