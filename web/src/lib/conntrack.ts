/** A connection as a query, and as commands of conntrack(8) that select exactly it. */
import type { Connection } from "./api";

const PORTS = new Set(["tcp", "udp", "udplite", "sctp", "dccp"]);

/** The tuple as a query: what whoever pastes it elsewhere finds again, also on another gateway. */
export function asQuery(row: Connection): string {
  const { orig } = row;
  const terms = [`proto == ${row.protocol ?? row.protocol_number}`, `src == ${orig.src}`];
  if (orig.sport !== undefined) terms.push(`sport == ${orig.sport}`);
  terms.push(`dst == ${orig.dst}`);
  if (orig.dport !== undefined) terms.push(`dport == ${orig.dport}`);
  if (orig.type !== undefined) terms.push(`icmp.type == ${orig.type}`);
  if (orig.code !== undefined) terms.push(`icmp.code == ${orig.code}`);
  if (orig.id !== undefined) terms.push(`icmp.id == ${orig.id}`);
  if (orig.srckey !== undefined) terms.push(`gre.key == ${orig.srckey}`);
  if (row.zone !== 0) terms.push(`zone == ${row.zone}`);
  return terms.join(" and ");
}

/** Exactly this entry of this table, for as long as it lives. */
export function asExactQuery(row: Connection): string {
  return row.id === undefined ? asQuery(row) : `${asQuery(row)} and id == ${row.id}`;
}

/** `conntrack -L …` or `conntrack -D …` with the tuple as it was opened. */
export function asCommand(row: Connection, does: "-L" | "-D"): string {
  const { orig } = row;
  const protocol = row.protocol ?? String(row.protocol_number);
  const words = ["conntrack", does];
  if (row.family === "ipv6") words.push("-f", "ipv6");
  words.push("-p", protocol, "-s", orig.src, "-d", orig.dst);
  const add = (flag: string, value: number | undefined): void => {
    if (value !== undefined) words.push(flag, String(value));
  };
  if (PORTS.has(protocol)) {
    add("--sport", orig.sport);
    add("--dport", orig.dport);
  } else if (protocol === "icmp" || protocol === "icmpv6") {
    add(`--${protocol}-type`, orig.type);
    add(`--${protocol}-code`, orig.code);
    add(`--${protocol}-id`, orig.id);
  } else if (protocol === "gre") {
    add("--srckey", orig.srckey);
    add("--dstkey", orig.dstkey);
  }
  if (row.zone !== 0) {
    const flag = row.zone_direction === "orig" ? "--orig-zone" : row.zone_direction === "reply" ? "--reply-zone" : "-w";
    words.push(flag, String(row.zone));
  }
  return words.join(" ");
}
