/** The kernel's counters: what to make of them, and how fast they rise. */

/** Those of which each one is a connection or packet that was refused or given up. */
export const BAD: ReadonlySet<string> = new Set(["drop", "early_drop", "insert_failed", "chaintoolong"]);
/** Those that are worth a look when they rise. */
export const ODD: ReadonlySet<string> = new Set(["invalid", "error", "icmp_error", "search_restart"]);

export type Counters = Readonly<Record<string, number>>;

/** The bad first, then the odd, then the rest; each by name. */
export function inOrder(names: readonly string[]): string[] {
  const rank = (name: string): number => (BAD.has(name) ? 0 : ODD.has(name) ? 1 : 2);
  return [...names].sort((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1));
}

/** By how much a counter of 32 bits rose, which may have wrapped once. */
export const risen = (before: number, now: number): number => (now - before) >>> 0;

export interface Reading {
  /** Milliseconds of a clock that does not jump. */
  at: number;
  counters: Counters;
}

/** How fast each counter rises, a second; nothing for what was not read before. */
export function speeds(before: Reading | undefined, now: Reading): Record<string, number> {
  if (before === undefined || now.at <= before.at) return {};
  const seconds = (now.at - before.at) / 1000;
  return Object.fromEntries(
    Object.entries(now.counters).flatMap(([name, value]) => {
      const then = before.counters[name];
      return then === undefined ? [] : [[name, risen(then, value) / seconds]];
    }),
  );
}

/** What a setting's number is of. */
export type Unit = "seconds" | "bytes" | "switch" | "number";

const SWITCHES = new Set([
  "nf_conntrack_acct",
  "nf_conntrack_checksum",
  "nf_conntrack_helper",
  "nf_conntrack_tcp_be_liberal",
  "nf_conntrack_tcp_ignore_invalid_rst",
  "nf_conntrack_tcp_loose",
  "nf_conntrack_dccp_loose",
  "nf_conntrack_timestamp",
  "nf_hooks_lwtunnel",
]);

export function unitOf(setting: string): Unit {
  if (setting.includes("_timeout")) return "seconds";
  if (setting.endsWith("_thresh")) return "bytes";
  return SWITCHES.has(setting) ? "switch" : "number";
}
