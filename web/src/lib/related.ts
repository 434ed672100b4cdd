/** Connections and expectations that belong to one: what expected it, what it announced. */
import { api, call, type Connection, type Schemas } from "./api";

type Way = Schemas["Way"];
type Expected = Schemas["Expected"];

export interface Related {
  /** The connection that expected this one, while it lives. */
  master: Connection | undefined;
  children: Connection[];
  expected: Expected[];
}

/** Whether two tuples are the same. */
export function isSame(a: Way, b: Way): boolean {
  return a.src === b.src && a.dst === b.dst && a.sport === b.sport && a.dport === b.dport;
}

async function find(query: string, signal: AbortSignal): Promise<Connection[]> {
  const page = (await call(api.GET("/api/v1/connections", { params: { query: { query, limit: 100 } }, signal }))) as Schemas["Page"];
  return page.connections as Connection[];
}

const of = (way: Way, prefix = ""): string => {
  const terms = [`${prefix}src == ${way.src}`, `${prefix}dst == ${way.dst}`];
  // Of a master only the addresses can be asked for.
  if (prefix === "" && way.sport !== undefined) terms.push(`sport == ${way.sport}`);
  if (prefix === "" && way.dport !== undefined) terms.push(`dport == ${way.dport}`);
  return terms.join(" and ");
};

/** What belongs to a connection now. */
export async function related(row: Connection, signal: AbortSignal): Promise<Related> {
  const { master } = row;
  const [masters, children, all] = await Promise.all([
    master === undefined ? [] : find(of(master), signal),
    find(`expected and ${of(row.orig, "master.")}`, signal),
    call(api.GET("/api/v1/expectations", { signal })),
  ]);
  return {
    master: masters[0],
    children: children.filter((child) => child.master !== undefined && isSame(child.master, row.orig)),
    expected: all.expectations.filter((expected) => isSame(expected.master, row.orig)),
  };
}
