/** What of the table was pressed or pointed at: rows have no listeners of their own. */
import { t } from "../../i18n/index.svelte";
import type { Connection } from "../../lib/api";
import { endpoint } from "../../lib/format";
import { table } from "../../lib/table/rows.svelte";

export type Hit =
  | { what: "row" | "open"; place: number; name: string }
  | { what: "check"; place: number; name: string; isChecked: boolean }
  | { what: "value"; place: number; name: string; term: string };

/** What a press is meant for; nothing where no row is, and where somebody marks text. */
export function pressed(event: MouseEvent): Hit | undefined {
  if (!(event.target instanceof Element)) return undefined;
  const row = event.target.closest<HTMLElement>("[data-place]");
  const name = row?.dataset["name"];
  if (row === null || name === undefined) return undefined;
  const at = { place: Number(row.dataset["place"]), name };
  if (event.target instanceof HTMLInputElement) return { what: "check", ...at, isChecked: event.target.checked };
  if (event.target.closest("[data-open]") !== null) return { what: "open", ...at };
  const term = event.target.closest<HTMLElement>("[data-term]")?.dataset["term"];
  const isMarking = getSelection()?.isCollapsed === false && event.type === "click" && !event.shiftKey;
  if (term === undefined || isMarking) return { what: "row", ...at };
  return { what: "value", ...at, term };
}

/** Says what is pointed at in full; only then, for there are many and they change often. */
export function explain(event: MouseEvent): void {
  if (!(event.target instanceof Element)) return;
  const cell = event.target.closest<HTMLElement>("[data-column]");
  if (cell === null) return;
  const term = event.target.closest<HTMLElement>("[data-term]")?.dataset["term"];
  const there = table.at(Number(cell.closest<HTMLElement>("[data-place]")?.dataset["place"]));
  if (there.kind !== "row") return;
  const lines = [full(there.row, cell.dataset["column"] ?? "", cell.textContent.trim())];
  if (term !== undefined) lines.push(t("table.add", { term }));
  cell.title = lines.filter((line) => line !== "").join("\n");
}

function full(row: Connection, column: string, shown: string): string {
  const { orig, reply } = row;
  if (shown === "–") return t("strip.unknown");
  if (column === "source") return named(row, orig.src, endpoint(orig.src, orig.sport));
  if (column === "destination") return named(row, orig.dst, endpoint(orig.dst, orig.dport));
  if (column === "rate_orig" || column === "rate_reply") return `${shown}\n${t("table.barScale")}`;
  if (column === "bytes" || column === "packets") {
    const [there, back] = [orig[column], reply[column]].map((value) => (value === undefined ? "–" : String(value)));
    return `↑ ${there}  ↓ ${back}`;
  }
  if (column !== "path") return shown;
  const there = `${endpoint(orig.src, orig.sport)} → ${endpoint(orig.dst, orig.dport)}`;
  const back = `${endpoint(reply.src, reply.sport)} → ${endpoint(reply.dst, reply.dport)}`;
  return t("table.answers", { there, back });
}

function named(row: Connection, address: string, text: string): string {
  const name = row.names?.[address];
  return name === undefined ? text : `${text}\n${name.name} (${name.from})`;
}
