/** Groups as queries: what selects exactly the connections of one. */
import { quoted } from "../quoted";

/** Fields that are an address; those of networks are told apart by their slash. */
const ADDRESSES = new Set(["src", "dst", "peer", "reply.src", "reply.dst"]);

/** At most so many fields are grouped by. */
export const MOST_FIELDS = 4;

/** The words of a status, as conditions of a query. */
const STATUS: Readonly<Record<string, string>> = {
  ASSURED: "assured",
  UNREPLIED: "unreplied",
  DYING: "dying",
  EXPECTED: "expected",
  OFFLOAD: "offloaded",
  HW_OFFLOAD: "status == HW_OFFLOAD",
  FIXED_TIMEOUT: "status == FIXED_TIMEOUT",
};

const NAT: Readonly<Record<string, string>> = {
  none: "not nat",
  snat: "snat and not dnat",
  dnat: "dnat and not snat",
  both: "snat and dnat",
};

export const fieldsOf = (by: string): string[] =>
  by
    .split(",")
    .map((field) => field.trim())
    .filter((field) => field !== "");

/** The field of an address that a grouping by networks is about; `undefined` for others. */
export function networkOf(field: string): string | undefined {
  const slash = field.indexOf("/");
  if (slash < 0) return undefined;
  return slash === 0 ? "src" : field.slice(0, slash);
}

export const isAddress = (field: string): boolean => ADDRESSES.has(field);

/** What selects the connections of a group by one field. */
export function termOf(field: string, value: unknown): string {
  const network = networkOf(field);
  if (network !== undefined) {
    const text = String(value);
    return text.includes("/") ? `${network} in ${text}` : `${network} == ${text}`;
  }
  if (field === "nat") return NAT[String(value)] ?? "nat";
  if (field === "status" && value !== null) return statusTerm(String(value));
  if (value === null || value === "") return `not has ${field}`;
  if (field === "mark") return `mark == ${markText(value)}`;
  if (field === "label") {
    return numbers(value)
      .map((label) => `label == ${label}`)
      .join(" and ");
  }
  return `${field} == ${quoted(typeof value === "number" ? value : String(value))}`;
}

function statusTerm(text: string): string {
  const words = text.split(/[\s,]+/);
  const there = words.flatMap((word) => (STATUS[word] === undefined ? [] : [STATUS[word]]));
  const absent = Object.entries(STATUS).flatMap(([word, term]) => {
    // What the hardware forwards is offloaded as well.
    const isThere = words.includes(word) || (word === "OFFLOAD" && words.includes("HW_OFFLOAD"));
    return isThere ? [] : [term];
  });
  return [...there, `not (${absent.join(" or ")})`].join(" and ");
}

function numbers(value: unknown): string[] {
  if (Array.isArray(value)) return value.map(String);
  return String(value)
    .split(/[\s,]+/)
    .filter((part) => part !== "");
}

const markText = (value: unknown): string => (typeof value === "number" ? `0x${value.toString(16)}` : String(value));

/** What selects the connections of a group. */
export const termOfKey = (by: readonly string[], key: Readonly<Record<string, unknown>>): string =>
  by.map((field) => termOf(field, key[field] ?? null)).join(" and ");

/** What selects the connections of none of these groups. */
export const termOfOthers = (field: string, values: readonly unknown[]): string =>
  `not (${values.map((value) => bracketed(termOf(field, value))).join(" or ")})`;

const bracketed = (term: string): string => (term.includes(" and ") ? `(${term})` : term);

/** A group's value as people read it; "" where it lacks the field. */
export function valueText(field: string, value: unknown): string {
  if (value === null || value === undefined || value === "") return "";
  if (field === "mark") return markText(value);
  return Array.isArray(value) ? value.join(", ") : String(value);
}
