/** What stands in the cells of a connection: pieces of text, and the terms of a query that they stand for. */
import { count, duration, rate, size } from "../format";
import type { Connection, Schemas } from "../api";
import { quoted } from "../quoted";

export type Way = Schemas["Way"];

export interface Piece {
  text: string;
  /** What selects connections that are alike in this. */
  term?: string;
  /** How it is drawn; a class of the row's style. */
  look?: string;
  /** Length of a bar, 0 to 1. */
  bar?: number;
  /** The end of a long text, which stays readable where there is no room for all of it. */
  tail?: string;
}

/** What is not known is never shown as zero. */
const UNKNOWN: readonly Piece[] = [{ text: "–", look: "unknown" }];

/** Moments that cells count from. */
export interface Now {
  /** Milliseconds since the epoch, by the daemon's clock. */
  daemon: number;
  /** Seconds since this row was received. */
  since: number;
}

const equals = (field: string, value: string | number): string => `${field} == ${quoted(value)}`;

/** IPv6 is cut before its last two groups, where it must be. */
function address(text: string, field: string, look = "address"): Piece {
  const piece: Piece = { text, term: equals(field, text), look };
  const cut = text.includes(":") && text.length > 15 ? text.lastIndexOf(":", text.lastIndexOf(":") - 1) : -1;
  return cut > 0 ? { ...piece, text: text.slice(0, cut), tail: text.slice(cut) } : piece;
}

const port = (number: number | undefined, field: string, look = "port"): Piece[] =>
  number === undefined ? [] : [{ text: `:${number}`, term: equals(field, number), look }];

function named(row: Connection, text: string, field: string): Piece[] {
  const name = row.names?.[text];
  if (name === undefined) return [];
  return [{ text: name.name, term: equals(field, text), look: name.from === "network" ? "network" : "name" }];
}

export function source(row: Connection): Piece[] {
  const { src, sport } = row.orig;
  return [...named(row, src, "src"), address(src, "src"), ...port(sport, "sport")];
}

export function destination(row: Connection): Piece[] {
  const { dst, dport, type, code } = row.orig;
  const pieces = [...named(row, dst, "dst"), address(dst, "dst"), ...port(dport, "dport")];
  if (type !== undefined) {
    pieces.push({ text: `${type}/${code ?? 0}`, term: `icmp.type == ${type}`, look: "port icmp" });
  }
  return pieces;
}

/** Whether the far end sees another source than the opener has. */
export const isSourceTranslated = (row: Connection): boolean =>
  row.reply.dst !== row.orig.src || (row.orig.sport !== undefined && row.reply.dport !== row.orig.sport);

/** Whether another end answers than was asked. */
export const isDestinationTranslated = (row: Connection): boolean =>
  row.reply.src !== row.orig.dst || (row.orig.dport !== undefined && row.reply.sport !== row.orig.dport);

/** What NAT shows in between. */
function publicly(shown: string, field: string, number: number | undefined, portField: string, look: string): Piece[] {
  if (number === undefined) return [address(shown, field, `public alone ${look}`)];
  return [address(shown, field, `public ${look}`), ...port(number, portField, "publicport")];
}

/** From the opener over what NAT shows in between to the true other end. */
export function path(row: Connection): Piece[] {
  const { orig, reply } = row;
  const isSource = isSourceTranslated(row);
  const isDestination = isDestinationTranslated(row);
  if (!isSource && !isDestination) return [{ text: "", look: "direct", term: "not nat" }];
  const pieces: Piece[] = [address(orig.src, "src", "end")];
  if (isDestination) {
    pieces.push({ text: "→", look: "arrow" }, ...publicly(orig.dst, "dst", orig.dport, "dport", "dnat"));
  }
  if (isSource) {
    pieces.push({ text: "→", look: "arrow" }, ...publicly(reply.dst, "reply.dst", reply.dport, "reply.dport", "snat"));
  }
  pieces.push({ text: "→", look: "arrow" }, address(reply.src, "peer", "end"), ...port(reply.sport, "peer.port"));
  return pieces;
}

const STATUS: readonly (readonly [bit: string, term: string, look: string])[] = [
  ["DYING", "dying", "bad"],
  ["HW_OFFLOAD", "status == HW_OFFLOAD", "good"],
  ["OFFLOAD", "offloaded", "good"],
  ["ASSURED", "assured", "good"],
  ["EXPECTED", "expected", "quiet"],
];

/** Status bits that mean something to an administrator; the text is the bit's name. */
export function status(row: Connection): Piece[] {
  if (row.status === undefined) return [...UNKNOWN];
  const bits = row.status;
  const pieces: Piece[] = [];
  for (const [bit, term, look] of STATUS) {
    if (bit === "OFFLOAD" && bits.includes("HW_OFFLOAD")) continue;
    if (bits.includes(bit)) pieces.push({ text: bit, term, look: `tag ${look}` });
  }
  if (!bits.includes("SEEN_REPLY")) pieces.push({ text: "UNREPLIED", term: "unreplied", look: "tag notice" });
  return pieces;
}

/** Rates differ by powers of ten: a bar grows by the logarithm, from 100 B/s to 125 MB/s (1 Gbit/s). */
export const bar = (bytes: number): number =>
  bytes <= 0 ? 0 : Math.min(1, Math.max(0.04, (Math.log10(bytes) - 2) / (Math.log10(125e6) - 2)));

const moved = (bytes: number | undefined, look: string): readonly Piece[] =>
  bytes === undefined ? UNKNOWN : [{ text: rate(bytes), look: bytes < 1 ? "idle" : look, bar: bar(bytes) }];

function sum(field: string, one: number | undefined, other: number | undefined, shown: (value: number) => string): readonly Piece[] {
  if (one === undefined && other === undefined) return UNKNOWN;
  const all = (one ?? 0) + (other ?? 0);
  return [{ text: shown(all), term: `${field} >= ${all}` }];
}

const protocol = (row: Connection): string => row.protocol ?? String(row.protocol_number);

const text = (value: string | undefined, field: string, look = ""): readonly Piece[] =>
  value === undefined ? [] : [{ text: value, term: equals(field, value), look }];

function age(row: Connection, now: Now): readonly Piece[] {
  if (row.start_ns === undefined) return UNKNOWN;
  const seconds = Math.max(0, Math.round((now.daemon - row.start_ns / 1e6) / 1000));
  return [{ text: duration(seconds), term: `age >= ${seconds}` }];
}

function timeout(row: Connection, now: Now): readonly Piece[] {
  if (row.timeout === undefined) return UNKNOWN;
  // The kernel does not count down what a flow table forwards.
  const stands = row.status?.some((bit) => bit === "OFFLOAD" || bit === "HW_OFFLOAD") ?? false;
  const left = Math.max(0, Math.round(stands ? row.timeout : row.timeout - now.since));
  return [{ text: duration(left), term: `timeout <= ${left}`, ...(left < 10 ? { look: "soon" } : {}) }];
}

const state = (row: Connection): readonly Piece[] => text(row.state, "state", `state ${lookOfState(row.state)}`);

function lookOfState(name: string | undefined): string {
  if (name === "ESTABLISHED" || name === "OPEN") return "good";
  return name !== undefined && /^(SYN_|COOKIE|REQUEST|RESPOND|PARTOPEN)/.test(name) ? "notice" : "quiet";
}

/** How each column is made. */
export const CELLS: Readonly<Record<string, (row: Connection, now: Now) => readonly Piece[]>> = {
  proto: (row) => [{ text: protocol(row), term: equals("proto", protocol(row)), look: `proto ${row.family}` }],
  source,
  destination,
  path,
  state,
  status,
  app: (row) => text(row.app, "app"),
  service: (row) =>
    row.service === undefined || row.orig.dport === undefined ? [] : [{ text: row.service, term: `dport == ${row.orig.dport}` }],
  provider: (row) => text(row.provider, "provider"),
  prio: (row) => text(row.prio, "prio"),
  rate_orig: (row) => moved(row.rates?.bytes_orig, "up"),
  rate_reply: (row) => moved(row.rates?.bytes_reply, "down"),
  bytes: (row) => sum("bytes", row.orig.bytes, row.reply.bytes, size),
  packets: (row) => sum("packets", row.orig.packets, row.reply.packets, count),
  age,
  timeout,
  zone: (row) => [{ text: String(row.zone), term: `zone == ${row.zone}`, look: row.zone === 0 ? "quiet" : "" }],
  mark: (row) =>
    row.mark === undefined ? UNKNOWN : [{ text: `0x${row.mark.toString(16)}`, term: `mark == 0x${row.mark.toString(16)}`, look: row.mark === 0 ? "quiet" : "" }],
  helper: (row) => text(row.helper, "helper"),
  labels: (row) => (row.labels ?? []).map((label) => ({ text: String(label), term: `label == ${label}` })),
};
