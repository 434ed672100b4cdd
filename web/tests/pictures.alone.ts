/** The pictures of README and docs/: `npm run pictures` takes them anew. */
import { mkdirSync } from "node:fs";
import { join, resolve } from "node:path";
import type { Page } from "playwright-core";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { Daemon } from "./daemon";

const FOLDER = resolve("../docs/images");
const DESK = { width: 1440, height: 900 };
/** The demo is minutes old: of an hour there would be little to see. */
const RANGE = "range=900";
const PHONE = { width: 390, height: 780 };

interface Listed {
  connections: { name: string }[];
  totals: { connections: number };
}

let daemon: Daemon;
let token: string;

beforeAll(async () => {
  mkdirSync(FOLDER, { recursive: true });
  daemon = await Daemon.start();
  token = daemon.token("asks", "operator");
  await vi.waitUntil(async () => (await listed("")).totals.connections > 120, { timeout: 300_000, interval: 1000 });
});
afterAll(() => daemon?.stop());

const listed = async (query: string): Promise<Listed> =>
  (await daemon.ask(token, "GET", `/connections?limit=1&query=${encodeURIComponent(query)}`)) as Listed;

async function open(name: string, options = {}, search = ""): Promise<Page> {
  const page = await daemon.signedIn(name, "operator", { viewport: DESK, ...options });
  await page.goto(`${daemon.url}/?${RANGE}${search}`);
  return page;
}

async function settled(page: Page): Promise<void> {
  await page.locator("[role=row][data-name]").first().waitFor();
  // Rates and the chart's live edge need a few readings.
  await page.waitForTimeout(4000);
}

async function take(page: Page, name: string): Promise<void> {
  await page.screenshot({ path: join(FOLDER, `${name}.png`) });
  await page.context().close();
}

test("the table", async () => {
  const page = await open("light");
  await settled(page);
  await take(page, "table");
});

test("in the dark", async () => {
  const page = await open("dark", { colorScheme: "dark" });
  await settled(page);
  await take(page, "dark");
});

test("on a phone", async () => {
  const page = await open("phone", { viewport: PHONE });
  await settled(page);
  await take(page, "phone");
});

const TRANSLATED = "tcp and state == ESTABLISHED and snat and timeout > 1h";

async function translated(): Promise<string> {
  await expect.poll(async () => (await listed(TRANSLATED)).connections.length, ).toBe(1);
  return (await listed(TRANSLATED)).connections[0]?.name ?? "";
}

test("one connection", async () => {
  const page = await open("drawer", {}, `&open=${await translated()}`);
  await settled(page);
  await take(page, "drawer");
});

test("groups", async () => {
  const page = await open("groups", {}, "&tab=groups&by=src,dport,dst&shape=flow");
  await page.waitForTimeout(5000);
  await take(page, "groups");
});

test("what a deletion would take", async () => {
  const page = await open("deletion", {}, "&q=udp");
  await settled(page);
  await page.getByRole("button", { name: "Delete all that match" }).click();
  await page.getByRole("dialog").locator("[data-table=owners]").waitFor();
  await take(page, "deletion");
});
