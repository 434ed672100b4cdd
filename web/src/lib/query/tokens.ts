/** A query cut into pieces for colours, by the grammar of docs/query.md. It never fails: what is odd is a word. */

export type Kind =
  | "space"
  | "comment"
  | "text"
  | "logic"
  | "operator"
  | "bracket"
  | "field"
  | "flag"
  | "value"
  | "word";

export interface Token {
  kind: Kind;
  text: string;
  /** Where it begins, in UTF-16 units as JavaScript counts. */
  at: number;
}

/** Names that the language has, from `/api/v1/query/fields`. */
export interface Names {
  fields: ReadonlySet<string>;
  flags: ReadonlySet<string>;
}

export const NO_NAMES: Names = { fields: new Set(), flags: new Set() };

const SHAPES: readonly (readonly [Kind, RegExp])[] = [
  ["space", /\s+/y],
  ["comment", /#[^\n]*/y],
  ["text", /"(?:\\.|[^"\\])*"?|'(?:\\.|[^'\\])*'?/y],
  ["logic", /&&|\|\||!(?![=~])/y],
  ["operator", /[=!<>]=|!~|[=<>~&]/y],
  ["bracket", /[(){},]/y],
  ["word", /[^\s"'#&|!=<>~(){},]+|./y],
];

const LOGIC = new Set(["and", "or", "not", "has"]);

/** Cuts a query; the texts of all tokens are the query again. */
export function tokens(query: string, names: Names = NO_NAMES): Token[] {
  const all: Token[] = [];
  let at = 0;
  // What stands before decides what a word is: behind an operator and in braces it is a value.
  let before: Token | undefined;
  let isInSet = false;
  while (at < query.length) {
    const token = next(query, at);
    if (token.kind === "word") token.kind = meaning(token.text, before, isInSet, names);
    if (token.text === "{") isInSet = true;
    if (token.text === "}") isInSet = false;
    all.push(token);
    at += token.text.length;
    if (token.kind !== "space" && token.kind !== "comment") before = token;
  }
  return all;
}

function next(query: string, at: number): Token {
  for (const [kind, shape] of SHAPES) {
    shape.lastIndex = at;
    const found = shape.exec(query);
    if (found !== null) return { kind, text: found[0], at };
  }
  return { kind: "word", text: query.slice(at, at + 1), at };
}

function meaning(text: string, before: Token | undefined, isInSet: boolean, names: Names): Kind {
  const word = text.toLowerCase();
  if (isInSet) return "value";
  if (word === "in") return "operator";
  if (before?.kind === "operator") return "value";
  if (LOGIC.has(word)) return "logic";
  // `port 443` is short for `port in 443`.
  if (before?.kind === "field") return "value";
  if (names.fields.has(word)) return "field";
  return names.flags.has(word) ? "flag" : "word";
}

/** The daemon counts characters, JavaScript units of UTF-16. */
export function unitsOf(text: string, characters: number): number {
  let units = 0;
  for (const character of text) {
    if (characters <= 0) break;
    units += character.length;
    characters -= 1;
  }
  return units;
}

export const charactersOf = (text: string, units: number): number => [...text.slice(0, units)].length;
