/** The parts of a query that all must hold, and what the plain controls read from and write into them. */
import { tokens, type Token } from "./tokens";

export const PROTOCOLS = ["tcp", "udp", "icmp", "icmpv6", "sctp", "dccp", "gre", "udplite"] as const;

/** States by protocol, under the kernel's names. */
export const STATES: Readonly<Record<string, readonly string[]>> = {
  tcp: ["SYN_SENT", "SYN_RECV", "ESTABLISHED", "FIN_WAIT", "CLOSE_WAIT", "LAST_ACK", "TIME_WAIT", "CLOSE", "SYN_SENT2"],
  sctp: [
    "CLOSED",
    "COOKIE_WAIT",
    "COOKIE_ECHOED",
    "ESTABLISHED",
    "SHUTDOWN_SENT",
    "SHUTDOWN_RECD",
    "SHUTDOWN_ACK_SENT",
    "HEARTBEAT_SENT",
    "HEARTBEAT_ACKED",
  ],
  dccp: ["REQUEST", "RESPOND", "PARTOPEN", "OPEN", "CLOSEREQ", "CLOSING", "TIMEWAIT", "IGNORE", "INVALID"],
};

type Conjunct = readonly Token[];

/** What is joined by "and" outside of brackets; one part where an "or" stands there. Comments are left out. */
const conjuncts = (query: string): Conjunct[] => split(query).parts;

function split(query: string): { parts: Conjunct[]; hasOr: boolean } {
  const parts: Token[][] = [[]];
  let depth = 0;
  let hasOr = false;
  const meant = tokens(query).filter((token) => token.kind !== "comment" && token.kind !== "space");
  for (const token of meant) {
    const word = token.text.toLowerCase();
    if (word === "(" || word === "{") depth += 1;
    if (word === ")" || word === "}") depth -= 1;
    if (depth === 0 && token.kind === "logic" && (word === "or" || word === "||")) hasOr = true;
    if (depth === 0 && token.kind === "logic" && (word === "and" || word === "&&")) parts.push([]);
    else parts.at(-1)?.push(token);
  }
  return { parts: hasOr ? [meant] : parts.filter((part) => part.length > 0), hasOr };
}

/** A part as text, with the blanks that it had. */
function textOf(query: string, part: Conjunct): string {
  const last = part.at(-1);
  const first = part[0];
  if (first === undefined || last === undefined) return "";
  // A comment within would take away what comes behind it on one line.
  return tokens(query.slice(first.at, last.at + last.text.length))
    .filter((token) => token.kind !== "comment")
    .map((token) => (token.kind === "space" ? " " : token.text))
    .join("");
}

function compared(part: Conjunct, fields: readonly string[]): string | undefined {
  const [field, operator, value] = part;
  if (part.length !== 3 || field === undefined || operator === undefined || value === undefined) return undefined;
  if (!fields.includes(field.text.toLowerCase()) || !["==", "=", "in"].includes(operator.text.toLowerCase())) return undefined;
  return value.text.replace(/^(["'])(.*)\1$/, "$2");
}

function protocolIn(part: Conjunct): string | undefined {
  const alone = part.length === 1 ? part[0]?.text.toLowerCase() : compared(part, ["proto", "protocol"])?.toLowerCase();
  return PROTOCOLS.find((protocol) => protocol === alone);
}

const stateIn = (part: Conjunct): string | undefined => compared(part, ["state"])?.toUpperCase();

/** Which protocol a query wants as a whole; "" for any, or where it is said in another way. */
export const protocolOf = (query: string): string => found(query, protocolIn);

/** Which state a query wants as a whole. */
export const stateOf = (query: string): string => found(query, stateIn);

function found(query: string, read: (part: Conjunct) => string | undefined): string {
  for (const part of conjuncts(query)) {
    const value = read(part);
    if (value !== undefined) return value;
  }
  return "";
}

function without(query: string, read: (part: Conjunct) => string | undefined): string {
  const parts = conjuncts(query);
  const kept = parts.filter((part) => read(part) === undefined);
  if (kept.length === parts.length) return query;
  return kept.map((part) => textOf(query, part)).join(" and ");
}

/** The query for another protocol, "" for any. A state that this protocol does not have goes. */
export function withProtocol(query: string, protocol: string): string {
  let changed = without(query, protocolIn);
  const state = stateOf(changed);
  if (protocol !== "" && state !== "" && !(STATES[protocol] ?? []).includes(state)) changed = without(changed, stateIn);
  if (protocol === "") return changed;
  return changed.trim() === "" ? protocol : withTerm(changed, protocol);
}

/** The query for another state, "" for any. */
export function withState(query: string, state: string): string {
  const changed = without(query, stateIn);
  return state === "" ? changed : withTerm(changed, `state == ${state}`);
}

/** The query with one more term; the same where it has the term already. */
export function withTerm(query: string, term: string): string {
  const plain = tokens(query)
    .filter((token) => token.kind !== "comment")
    .map((token) => token.text)
    .join("")
    .trim();
  if (plain === "") return term;
  const wanted = term.replace(/\s+/g, "");
  const { parts, hasOr } = split(plain);
  if (parts.some((part) => part.map((token) => token.text).join("") === wanted)) return plain;
  // "and" binds more tightly than an "or" that stands outside of all brackets.
  return `${hasOr ? `(${plain})` : plain} and ${term}`;
}

/** The query without what a term selects. */
export const withoutTerm = (query: string, term: string): string => withTerm(query, `not (${term})`);
