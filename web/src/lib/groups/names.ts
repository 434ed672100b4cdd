/** What fields and values of groups are called. */
import { isText, t } from "../../i18n/index.svelte";
import type { Schemas } from "../api";
import { networkOf, valueText } from "./term";

/** Two names of one field: only the usual one is offered. */
const SAME: Readonly<Record<string, string>> = { port: "dport", "reply.src": "peer", "reply.sport": "peer.port" };

export function fieldName(field: string): string {
  const network = networkOf(field);
  if (network !== undefined) {
    return t("groups.field.network", { field: fieldName(network), bits: field.slice(field.indexOf("/")) });
  }
  const key = `groups.field.${SAME[field] ?? field}`;
  return isText(key) ? t(key) : field;
}

/** A group's value in words; what it lacks has words, too. */
export function valueName(field: string, value: unknown): string {
  const text = valueText(field, value);
  if (text !== "") return text;
  return t(field === "provider" ? "groups.noUplink" : "groups.none");
}

const FIELDS = {
  "groups.ends": ["src", "dst", "sport", "dport", "peer", "peer.port", "reply.dst", "reply.dport"],
  "groups.kinds": ["proto", "family", "state", "status", "nat", "provider", "app", "prio", "mark", "zone", "helper", "label"],
  "groups.networks": ["src/24", "src/16", "dst/24", "dst/16", "peer/24", "peer/16"],
} as const;

export const USUAL = {
  "groups.usual.src": "src",
  "groups.usual.peer": "peer",
  "groups.usual.service": "proto,dport",
  "groups.usual.app": "app",
  "groups.usual.state": "proto,state",
  "groups.usual.network": "src/24",
  "groups.usual.path": "src,provider,dst",
} as const;

type Section = keyof typeof FIELDS;

/** What the daemon can group by, in sections; what this page knows no section for stands among the kinds. */
export function offered(known: readonly Schemas["Name"][]): [section: Section, fields: string[]][] {
  const names = known.map((group) => group.name);
  const placed = new Set<string>(Object.values(FIELDS).flat());
  const further = names.filter((name) => !placed.has(name) && SAME[name] === undefined && networkOf(name) === undefined);
  return (Object.keys(FIELDS) as Section[]).map((section) => {
    const fields = FIELDS[section].filter((name) => section === "groups.networks" || names.includes(name));
    return [section, section === "groups.kinds" ? [...fields, ...further] : fields];
  });
}

/** The sums that a group and the rest of the groups have. */
export type Sums = Pick<
  Schemas["Sums"],
  "connections" | "share" | "bytes" | "packets" | "rate" | "rate_orig" | "rate_reply" | "newest_start_ns" | "uncounted"
>;
