/**
 * What the page shows, all of it in the address bar: a link reproduces it.
 *
 * Steps that somebody would want to go back over are entries of the browser's history (`go`); the rest, such as each
 * key of a query that is being typed, replaces the present one (`put`).
 */

import { TABS, type Tab } from "./tabs";

export { TABS, type Tab };

/** Seconds of the chart, 0 for a range that was dragged (`from`, `until`). */
export const RANGES = [900, 3600, 21_600, 86_400, 604_800, 2_592_000, 31_536_000] as const;

export interface View {
  tab: Tab;
  /** The query, as typed. */
  q: string;
  /** Column to sort by; "" for the table's own order. */
  sort: string;
  reverse: boolean;
  /** How many rows at most; 0 for all. */
  limit: number;
  /** What groups are by, with commas. */
  by: string;
  /** How groups are shown: "table" or "flow". */
  shape: string;
  /** What groups are sorted by, and what the flow's widths are. */
  groupSort: string;
  groupReverse: boolean;
  /** Which events are shown, with commas; "" for all. */
  kinds: string;
  /** What the chart draws. */
  draw: string;
  /** Name of the connection in the drawer; "" for none. */
  open: string;
  range: number;
  /** Seconds since the epoch; 0 for the present. */
  from: number;
  until: number;
}

const USUAL: View = {
  tab: "connections",
  q: "",
  sort: "rate",
  reverse: false,
  limit: 0,
  by: "src",
  shape: "table",
  groupSort: "connections",
  groupReverse: false,
  kinds: "",
  draw: "connections",
  open: "",
  range: 3600,
  from: 0,
  until: 0,
};

function parse(search: string): View {
  const given = new URLSearchParams(search);
  const text = (name: keyof View): string => given.get(name) ?? String(USUAL[name]);
  const number = (name: keyof View): number => {
    const value = Number(text(name));
    return Number.isFinite(value) && value >= 0 ? value : Number(USUAL[name]);
  };
  const tab = text("tab");
  return {
    tab: (TABS as readonly string[]).includes(tab) ? (tab as Tab) : USUAL.tab,
    q: text("q"),
    sort: text("sort"),
    reverse: given.get("reverse") === "1",
    limit: Math.trunc(number("limit")),
    by: text("by"),
    shape: text("shape"),
    groupSort: text("groupSort"),
    groupReverse: given.get("groupReverse") === "1",
    kinds: text("kinds"),
    draw: text("draw"),
    open: text("open"),
    range: number("range"),
    from: number("from"),
    until: number("until"),
  };
}

/** The address of a view: only what is not usual is in it. */
export function address(view: View): string {
  const search = new URLSearchParams();
  for (const key of Object.keys(USUAL) as (keyof View)[]) {
    const value = view[key];
    if (value !== USUAL[key]) search.set(key, value === true ? "1" : value === false ? "0" : String(value));
  }
  const text = search.toString();
  return text === "" ? location.pathname : `${location.pathname}?${text}`;
}

/** What is shown now. Read it; change it by {@link go} and {@link put}. */
export const view: View = $state(parse(location.search));

/** Shows something else, to which "back" returns. */
export function go(change: Partial<View>): void {
  Object.assign(view, change);
  history.pushState(null, "", address(view));
}

/** The same without a step for "back". */
export function put(change: Partial<View>): void {
  Object.assign(view, change);
  history.replaceState(null, "", address(view));
}

addEventListener("popstate", () => Object.assign(view, parse(location.search)));

export { quoted } from "./quoted";
export { withTerm, withoutTerm } from "./query/conjuncts";
