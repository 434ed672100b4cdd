/** What a connection's fields mean, in words of the reader's language. */
import { isText, t, type Text } from "../i18n/index.svelte";
import type { Connection, Schemas } from "./api";
import { endpoint } from "./format";

type Way = Schemas["Way"];

/** The daemon's notes, which are in English. */
const NOTES: readonly [start: string, text: Text][] = [
  ["a flow table forwards it", "drawer.note.offloaded"],
  ["nobody has answered", "drawer.note.unanswered"],
  ["it is older than", "drawer.note.older"],
  ["counters are off", "drawer.note.accounting"],
  ["its begin is not known", "drawer.note.begin"],
  ["a helper expected it", "drawer.note.expected"],
  ["its timeout was set by hand", "drawer.note.fixed"],
];

export const note = (text: string): string => {
  const known = NOTES.find(([start]) => text.startsWith(start));
  return known === undefined ? text : t(known[1]);
};

export const protocolOf = (row: Connection): string => (row.protocol ?? String(row.protocol_number)).toUpperCase();

export const source = (way: Way): string => endpoint(way.src, way.sport);
export const destination = (way: Way): string => endpoint(way.dst, way.dport);

/** The state for people: the kernel's name, or what is known where the protocol has none. */
export function stateOf(row: Connection): string {
  return row.state ?? t(stateless(row));
}

function stateless(row: Connection): Text {
  const status = row.status ?? [];
  if (!status.includes("SEEN_REPLY")) return "drawer.state.oneWay";
  return status.includes("ASSURED") ? "drawer.state.stream" : "drawer.state.bothWays";
}

/** What the state means; the daemon's words where ours lack it, "" where nobody knows. */
export function stateMeaning(row: Connection, theirs: string | undefined): string {
  if (row.state === undefined) return row.status === undefined ? (theirs ?? "") : t(stateless(row));
  const key = `drawer.state.${row.protocol}.${row.state}`;
  return isText(key) ? t(key) : (theirs ?? "");
}

export function statusMeaning(bit: string): string {
  const key = `drawer.status.${bit}`;
  return isText(key) ? t(key) : "";
}

/** Who says a name. */
export function nameFrom(from: string): string {
  const key = `drawer.names.${from}`;
  return isText(key) ? t(key) : from;
}

/** A connection's end with the name that it has. */
export function named(end: string, address: string, names: Connection["names"]): string {
  const name = names?.[address];
  return name === undefined ? end : `${end} (${name.name})`;
}

/** Who opened what, what was translated, and where it goes: a sentence each. */
export function story(known: Schemas["Known"], age: string | undefined): string[] {
  const { connection: row, path, routes } = known;
  const peer = named(path.peer, row.reply.src, row.names);
  const seen = named(path.seen_as, row.reply.dst, row.names);
  const values = {
    opener: named(path.opener, row.orig.src, row.names),
    addressed: named(path.addressed, row.orig.dst, row.names) + (row.service === undefined ? "" : ` (${row.service})`),
    protocol: protocolOf(row),
  };
  const told = [
    age === undefined ? t("drawer.opened.unknown", values) : t("drawer.opened", { ...values, time: age }),
  ];
  if (path.translated === "source") told.push(t("drawer.nat.source", { seen }));
  else if (path.translated === "destination") told.push(t("drawer.nat.destination", { peer }));
  else if (path.translated === "both") told.push(t("drawer.nat.both", { peer, seen }));
  else told.push(t("drawer.nat.none"));
  told.push(way(routes.orig));
  if (row.provider !== undefined) told.push(t("drawer.uplink", { provider: row.provider }));
  if (row.helper !== undefined) told.push(t("drawer.helper.words", { helper: row.helper }));
  return told;
}

/** How packets of a direction leave. */
export function way({ to, route, failure }: Schemas["OneWay"]): string {
  if (failure !== undefined) return t("drawer.route.unknown", { to, why: failure.message });
  if (route === undefined) return t("drawer.route.none", { to });
  if (route.kind === "local") return t("drawer.route.local");
  const values = { interface: route.interface ?? "?", gateway: route.gateway ?? "" };
  return route.gateway === undefined ? t("drawer.route.direct", values) : t("drawer.route.gateway", values);
}
