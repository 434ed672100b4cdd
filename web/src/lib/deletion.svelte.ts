/** What somebody wants to delete: the dialog of parts/deletion shows it, and asks. */

export type Asked = { query: string } | { names: string[] };

export const deletion = $state<{ asked: Asked | undefined }>({ asked: undefined });

/** Shows what would be deleted; nothing is before that was confirmed. */
export function ask(asked: Asked): void {
  deletion.asked = asked;
}

export const flush = $state({ isAsked: false });

/** Asks whether the whole table is to be emptied. */
export function askFlush(): void {
  deletion.asked = undefined;
  flush.isAsked = true;
}
