/** All that is selected, as a file. */
import { Failure, type Schemas } from "../api";
import { parameters, type Asked } from "./snapshot";

export const FORMATS = { csv: "text/csv", ndjson: "application/x-ndjson" } as const;
export type Format = keyof typeof FORMATS;

/** Fetches the file; `progress` is told how many bytes there are. An answer that breaks off is a failure, not half a file. */
export async function download(
  asked: Asked,
  limit: number,
  format: Format,
  signal: AbortSignal,
  progress: (bytes: number) => void,
): Promise<void> {
  const search = new URLSearchParams(parameters(asked));
  if (limit > 0) search.set("limit", String(limit));
  const answer = await fetch(`/api/v1/connections?${search}`, { signal, headers: { Accept: FORMATS[format] } });
  if (!answer.ok || answer.body === null) {
    throw new Failure((await answer.json()) as Schemas["ErrorBody"], answer.status);
  }
  const parts: Uint8Array<ArrayBuffer>[] = [];
  let bytes = 0;
  const reader = answer.body.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    parts.push(value);
    bytes += value.byteLength;
    progress(bytes);
  }
  save(new Blob(parts, { type: FORMATS[format] }), `connections-${stamp(new Date())}.${format}`);
}

/** A time that can stand in the name of a file. */
const stamp = (date: Date): string => date.toISOString().slice(0, 19).replace(/:/g, "-");

function save(blob: Blob, name: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
