/** How columns stand, and what of it was kept still makes sense. */

const LEAST = 44;
const MOST = 900;

export interface Kept {
  order: string[];
  shown: string[];
  widths: Record<string, number>;
}

export const clamp = (width: number): number => Math.round(Math.min(MOST, Math.max(LEAST, width)));

/** What was kept of known columns; nothing where that shows none. Columns that are new since then come last. */
export function restored(text: string | null, ids: readonly string[]): Kept | undefined {
  if (text === null) return undefined;
  try {
    const kept = JSON.parse(text) as Partial<Kept>;
    const known = (list: unknown): string[] =>
      Array.isArray(list) ? [...new Set(list as unknown[])].filter((id): id is string => ids.includes(id as string)) : [];
    const order = known(kept.order);
    const shown = known(kept.shown);
    if (shown.length === 0) return undefined;
    const widths: Record<string, number> = {};
    for (const [id, width] of Object.entries(kept.widths ?? {})) {
      if (ids.includes(id) && Number.isFinite(width)) widths[id] = clamp(width);
    }
    return { order: [...order, ...ids.filter((id) => !order.includes(id))], shown, widths };
  } catch {
    return undefined;
  }
}

/** A list with one of its members at the place of another. */
export function moved(order: readonly string[], id: string, to: string): string[] {
  const target = order.indexOf(to);
  if (!order.includes(id) || target < 0) return [...order];
  const rest = order.filter((other) => other !== id);
  rest.splice(target, 0, id);
  return rest;
}
