/**
 * Connections that were chosen by their names, as one query: a deletion of it has a preview and can be undone.
 *
 * A name begins with the kernel's id of the entry. That is a hash of 32 bits, so in a large table another entry
 * may have it too: such strangers are looked for, and left out by their tuples.
 */
import { api, call, type Connection, type Schemas } from "./api";
import { asExactQuery } from "./conntrack";

/** Queries in an address stay short enough for every proxy. */
const AT_ONCE = 200;

/** Selects the entries of these names, and strangers that have the same ids. */
export function byIds(names: readonly string[]): string {
  const ids = names.map((name) => `0x${name.slice(0, 8)}`);
  return ids.length === 1 ? `id == ${ids[0]}` : `id in {${ids.join(", ")}}`;
}

/** Selects exactly the entries of these names. */
export async function byNames(names: readonly string[], signal: AbortSignal): Promise<string> {
  const wanted = new Set(names);
  const strangers: Connection[] = [];
  for (let at = 0; at < names.length; at += AT_ONCE) {
    const query = byIds(names.slice(at, at + AT_ONCE));
    const params = { query: { query, limit: 1000 } };
    // As JSON; the same address has CSV too, which the description cannot tell apart.
    const page = (await call(api.GET("/api/v1/connections", { params, signal }))) as Schemas["Page"];
    const rows = page.connections as Connection[];
    strangers.push(...rows.filter((row) => !wanted.has(row.name)));
  }
  return without(byIds(names), strangers);
}

/** A query that leaves out these entries. */
export function without(query: string, strangers: readonly Connection[]): string {
  return [query, ...strangers.map((row) => `not (${asExactQuery(row)})`)].join(" and ");
}
