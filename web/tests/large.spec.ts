/** A million connections: the daemon sorts, filters and pages; the page has to stay small. */
import type { Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { Daemon, problems, until } from "./daemon";
import { FilledTable } from "./filled";

const ENTRIES = 1_000_000;
/** One of 64 is ICMP. */
const ICMP = ENTRIES / 64;
/** Of what scripts keep, after all that is done here. */
const MOST_MEMORY = 64 << 20;

let table: FilledTable;
let daemon: Daemon;

beforeAll(async () => {
  table = new FilledTable(ENTRIES);
  daemon = await Daemon.inside(table.namespace);
});
afterAll(async () => {
  await daemon?.stop();
  table?.close();
});
afterEach(() => daemon.leave());

const grid = (page: Page) => page.getByRole("grid", { name: "Connections" });
const rows = (page: Page) => page.locator("[role=row][data-name]");

/** Opens the page, and waits until it shows so many. */
async function open(name: string, search: string, many: number): Promise<Page> {
  const page = await daemon.signedIn(name, "operator");
  await page.goto(`${daemon.url}/${search}`);
  await shows(page, many);
  return page;
}

const shows = (page: Page, many: number): Promise<void> =>
  until(async () => (await page.locator("[data-totals]").innerText()).replace(/\D/g, "").startsWith(String(many)));

const terms = (page: Page, column: string): Promise<number[]> =>
  rows(page)
    .locator(`[data-column=${column}] [data-term]`)
    .evaluateAll((all) =>
      all
        .map((one) => ({ place: Number(one.closest<HTMLElement>("[data-place]")?.dataset["place"]), term: (one as HTMLElement).dataset["term"] }))
        .sort((one, other) => one.place - other.place)
        .map(({ term }) => Number(term?.split(" ").at(-1))),
    );

test("a million are scrolled through from end to end", async () => {
  const page = await open("scrolls", "?sort=dport", ENTRIES);
  expect(Number(await grid(page).getAttribute("aria-rowcount"))).toBe(ENTRIES + 1);
  await grid(page).focus();
  await page.keyboard.press("End");
  await page.locator(`#row-${ENTRIES - 1}[data-name]`).waitFor();
  const last = await terms(page, "destination");
  await page.keyboard.press("Home");
  await page.locator("#row-0[data-name]").waitFor();
  expect(last.length).toBeGreaterThan(10);
  // The bar is dragged to the middle: what is there belongs there.
  await grid(page).evaluate((element) => (element.scrollTop = (element.scrollHeight - element.clientHeight) / 2));
  await until(async () => {
    const first = await rows(page).first().getAttribute("data-place", { timeout: 1000 }).catch(() => null);
    return Math.abs(Number(first) - ENTRIES / 2) < 1000;
  });
  expect(await page.locator("[role=row][data-place]").count()).toBeLessThan(60);
  expect(problems(page)).toEqual([]);
});

test("a million are sorted and filtered by the daemon, and the page's memory stays bounded", async () => {
  const page = await open("sorts", "", ENTRIES);
  const tools = await page.context().newCDPSession(page);
  const memory = async (): Promise<number> => {
    await tools.send("HeapProfiler.collectGarbage");
    const { usedSize } = await tools.send("Runtime.getHeapUsage");
    return usedSize;
  };
  for (const [sort, column] of [["timeout", "timeout"], ["dport", "service"], ["mark", "mark"]] as const) {
    await page.goto(`${daemon.url}/?sort=${sort}`);
    await shows(page, ENTRIES);
    await rows(page).first().waitFor();
    await until(async () => {
      await grid(page).evaluate((element) => void (element.scrollLeft = element.scrollWidth));
      await page.locator("[role=row][data-name] [data-column=mark]").first().waitFor();
      const there = await terms(page, column);
      return there.every((value, at) => at === 0 || value <= (there[at - 1] ?? 0)) || there.every((value, at) => at === 0 || value >= (there[at - 1] ?? 0));
    });
  }
  const line = page.getByRole("combobox", { name: "Query", exact: true });
  await line.fill("icmp");
  await line.press("Enter");
  await shows(page, ICMP);
  expect(new Set(await page.locator("[role=row][data-name] [data-column=proto]").allInnerTexts())).toEqual(new Set(["icmp"]));
  await line.fill("");
  await line.press("Enter");
  await shows(page, ENTRIES);
  // Far and wide, so that much is read.
  await grid(page).focus();
  for (let step = 0; step < 40; step += 1) {
    await grid(page).evaluate((element, part) => (element.scrollTop = element.scrollHeight * part), (step * 0.37) % 1);
    await page.locator("[role=row][data-name]").first().waitFor();
  }
  expect(await memory()).toBeLessThan(MOST_MEMORY);
  expect(await page.locator("*").count()).toBeLessThan(5000);
  expect(problems(page)).toEqual([]);
});

test("all that match are deleted, exactly those", async () => {
  const page = await open("deletes", "?q=icmp", ICMP);
  expect(table.count).toBe(ENTRIES);
  await page.getByRole("button", { name: "Delete all that match" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.locator("[data-table=owners]").waitFor();
  await dialog.getByRole("button", { name: /^Delete 15,625/ }).click();
  await dialog.locator("[data-counts=deleted]").waitFor();
  expect(await dialog.locator("[data-count=done] dd").innerText()).toBe("15,625");
  expect(table.count).toBe(ENTRIES - ICMP);
  await page.keyboard.press("Escape");
  await shows(page, 0);
  const line = page.getByRole("combobox", { name: "Query", exact: true });
  await line.fill("");
  await line.press("Enter");
  await shows(page, ENTRIES - ICMP);
  expect(problems(page)).toEqual([]);
});
