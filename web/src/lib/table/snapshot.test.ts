import { expect, test, vi } from "vitest";
import { api } from "../api";
import { Snapshot } from "./snapshot";

const ASKED = { query: "", sort: "", reverse: false };
const page = { connections: [], totals: { connections: 1_000_000 }, cursor: "held" };

/** Until everything has run that does not wait for something. */
const settled = (): Promise<void> => new Promise((go) => setTimeout(go));

test("a result that is given up while its rows are on the way asks for nothing more", async () => {
  let asked = 0;
  const get = vi.spyOn(api, "GET") as unknown as { mockImplementation: (ask: unknown) => void };
  get.mockImplementation((_: string, { params, signal }: { params: { query: object }; signal: AbortSignal }): Promise<unknown> => {
    asked += 1;
    if (!("cursor" in params.query)) return Promise.resolve({ data: page, response: new Response() });
    // Rows that never come, as a browser tells of them; who asks without end is left waiting.
    return new Promise((_, refuse) => {
      const over = (): void => refuse(new DOMException("given up", "AbortError"));
      if (signal.aborted && asked < 20) over();
      else signal.addEventListener("abort", over);
    });
  });
  const snapshot = await Snapshot.of(ASKED, new AbortController().signal, () => {}, () => {});
  snapshot.look(500_000, 500_030);
  expect(asked).toBe(2);
  snapshot.stop();
  await settled();
  snapshot.look(0, 30);
  await settled();
  expect(asked).toBe(2);
});
