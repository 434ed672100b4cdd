/** What changes about a connection while it is looked at. */
import type { Connection } from "./api";

/** From where it is known: a look, or an event of the kernel's. */
export type Source = "poll" | "new" | "update" | "destroy";

/** Something that was seen of it. */
export interface Seen {
  time_ns: number;
  kind: "began" | "seen" | "new" | "state" | "status" | "mark" | "destroy";
  row: Connection;
  /** Status bits that came. */
  bits: readonly string[];
}

/** What is new about a connection since the last time. */
export function changes(
  from: Source,
  time_ns: number,
  row: Connection,
  last: Connection | undefined,
): Seen[] {
  const seen = (kind: Seen["kind"], time = time_ns, bits: readonly string[] = []): Seen => ({ time_ns: time, kind, row, bits });
  if (from === "destroy") return [seen("destroy")];
  if (last === undefined) {
    if (from === "new") return [seen("new")];
    return row.start_ns === undefined ? [seen("seen")] : [seen("began", row.start_ns), seen("seen")];
  }
  const news: Seen[] = [];
  if (row.state !== last.state) news.push(seen("state"));
  const bits = (row.status ?? []).filter((bit) => !(last.status ?? []).includes(bit));
  if (bits.length > 0) news.push(seen("status", time_ns, bits));
  if (row.mark !== undefined && row.mark !== last.mark) news.push(seen("mark"));
  return news;
}
