import { readFile } from "node:fs/promises";
import type { Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, expect, test, vi } from "vitest";
import { Daemon, problems, until } from "./daemon";

let daemon: Daemon;
let token: string;
let page: Page;
let number = 0;

beforeAll(async () => {
  daemon = await Daemon.start();
  token = daemon.token("asks", "operator");
  // Traffic that the scenarios look at: enough rows to scroll.
  await vi.waitUntil(async () => (await total("")) > 120, { timeout: 300_000, interval: 1000 });
});
afterAll(() => daemon.stop());
afterEach(() => daemon.leave());

async function total(query: string): Promise<number> {
  const search = new URLSearchParams({ limit: "1", ...(query === "" ? {} : { query }) });
  const answer = (await daemon.ask(token, "GET", `/connections?${search}`)) as { totals: { connections: number } };
  return answer.totals.connections;
}

async function open(search = "", role: "operator" | "viewer" = "operator"): Promise<void> {
  number += 1;
  page = await daemon.signedIn(`table-${number}`, role);
  if (search !== "") await page.goto(`${daemon.url}/${search}`);
  await rows().first().waitFor();
}

const grid = () => page.getByRole("grid", { name: "Connections" });
const rows = () => page.locator("[role=row][data-name]");
const at = (place: number) => page.locator(`#row-${place}`);
const cell = (place: number, column: string) => at(place).locator(`[data-column=${column}]`);
const head = (name: string) => page.getByRole("columnheader", { name, exact: true });
const query = (): string => new URL(page.url()).searchParams.get("q") ?? "";
const heads = async (): Promise<string[]> =>
  (await page.locator("[role=columnheader] button span:first-child").allInnerTexts()).map((text) => text.trim());

/** Names of the rows in sight, from the top. */
const names = (): Promise<string[]> =>
  rows().evaluateAll((all) =>
    all
      .map((row) => ({ place: Number((row as HTMLElement).dataset["place"]), name: (row as HTMLElement).dataset["name"] ?? "" }))
      .sort((one, other) => one.place - other.place)
      .map(({ name }) => name),
  );

const scroll = (top: number): Promise<void> => grid().evaluate((element, to) => void (element.scrollTop = to), top);

/** To the right edge, where the cells are that were out of sight. */
async function sideways(): Promise<void> {
  await grid().evaluate((element) => void (element.scrollLeft = element.scrollWidth));
  await page.locator("[role=row][data-name] [data-column=mark]").first().waitFor();
}

/** Freezes the table, and waits for the result that is held. */
async function freeze(): Promise<void> {
  const held = page.waitForResponse((answer) => answer.url().includes("cursor="));
  await grid().focus();
  await page.keyboard.press(" ");
  await page.getByText("frozen", { exact: true }).waitFor();
  await held;
  await until(async () => (await page.locator(".new, .ended, .left").count()) === 0);
}

test("a row shows who talks to whom, and how NAT leads there", async () => {
  await open("?q=tcp+and+snat+and+state+%3D%3D+ESTABLISHED");
  const path = await cell(0, "path").innerText();
  const source = (await cell(0, "source").innerText()).replace(/\s/g, "");
  const destination = await cell(0, "destination").innerText();
  expect(path.replace(/\s/g, "")).toBe(`${source.split(":")[0]}→203.0.113.5:${source.split(":")[1]}→${destination.replace(/\s/g, "")}`);
  expect(await cell(0, "proto").innerText()).toBe("tcp");
  expect(await cell(0, "status").innerText()).toContain("ASSURED");
  expect(await cell(0, "rate_orig").innerText()).toMatch(/^[\d.,]+ k?B\/s$/);
  await sideways();
  expect(await cell(0, "age").innerText()).toMatch(/^\d+[smh]/);
  await page.goto(`${daemon.url}/?q=dnat`);
  await until(async () => /^198\.51\.100\.\d+→203\.0\.113\.5:8443→10\.0\.0\.2:443$/.test((await cell(0, "path").innerText()).replace(/\s/g, "")));
  await page.goto(`${daemon.url}/?q=ipv6+and+tcp`);
  await until(async () => (await cell(0, "path").innerText()) === "no NAT");
  expect((await cell(0, "source").innerText()).replace(/\s/g, "")).toMatch(/^2001:db8:[\da-f:]+:\d+$/);
  await cell(0, "source").hover();
  expect(await cell(0, "source").getAttribute("title")).toMatch(/^\[2001:db8:/);
  expect(problems(page)).toEqual([]);
});

test("the table moves by itself, and timeouts run down", async () => {
  await open("?q=udp+and+unreplied&sort=timeout");
  const name = await at(0).getAttribute("data-name");
  const timeout = (): Promise<string> => page.locator(`[data-name="${name}"] [data-column=timeout]`).first().innerText();
  await sideways();
  const before = Number.parseInt(await timeout(), 10);
  await until(async () => Number.parseInt(await timeout(), 10) < before);
  const first = await page.locator("[data-totals] strong").innerText();
  await page.goto(`${daemon.url}/`);
  await until(async () => (await page.locator("[data-totals] strong").innerText()) !== first);
  expect(problems(page)).toEqual([]);
});

test("new rows are tinted, and ended ones struck through for a moment", async () => {
  await open("?q=udp+and+dport+%3D%3D+53&sort=age&reverse=1");
  await page.locator("[role=row].new").first().waitFor();
  // What ends next is at the top.
  await page.goto(`${daemon.url}/?q=udp+and+dport+%3D%3D+53&sort=timeout&reverse=1`);
  await page.locator("[role=row].ended").first().waitFor();
  expect(problems(page)).toEqual([]);
});

test("values are added to the query by a click, and excluded by an Alt-click", async () => {
  await open("?q=tcp&sort=source");
  const source = cell(0, "source").locator("[data-term^='src']");
  const address = (await source.innerText()).trim();
  await source.click();
  await until(() => query() === `tcp and src == ${address}`);
  await until(async () => (await page.getByRole("combobox", { name: "Query", exact: true }).inputValue()) === query());
  await cell(0, "service").locator("[data-term]").first().waitFor();
  const term = await cell(0, "service").locator("[data-term]").getAttribute("data-term");
  await cell(0, "service").locator("[data-term]").click({ modifiers: ["Alt"] });
  await until(() => query() === `tcp and src == ${address} and not (${term})`);
  await page.goBack();
  await until(() => query() === `tcp and src == ${address}`);
  expect(problems(page)).toEqual([]);
});

test("heads sort at the daemon, and turn round", async () => {
  await open();
  await head("Bytes").getByRole("button").click();
  await until(() => new URL(page.url()).searchParams.get("sort") === "bytes");
  expect(await head("Bytes").getAttribute("aria-sort")).toBe("descending");
  await until(async () => {
    const terms = await page.locator("[role=row][data-name]:not(.ended) [data-column=bytes] [data-term]").evaluateAll((all) =>
      all.map((one) => ({
        place: Number(one.closest<HTMLElement>("[data-place]")?.dataset["place"]),
        bytes: Number((one as HTMLElement).dataset["term"]?.split(" ").at(-1)),
      })),
    );
    const bytes = terms.sort((one, other) => one.place - other.place).map((one) => one.bytes);
    return bytes.length > 5 && bytes.every((value, place) => place === 0 || value <= (bytes[place - 1] ?? 0));
  });
  await head("Bytes").getByRole("button").click();
  await until(async () => (await head("Bytes").getAttribute("aria-sort")) === "ascending");
  await until(() => new URL(page.url()).searchParams.get("reverse") === "1");
  await page.getByLabel("Sort by").selectOption("age");
  await until(async () => (await head("Age").getAttribute("aria-sort")) === "descending");
  expect(problems(page)).toEqual([]);
});

test("below the top rows keep their places while they change, and lead back up", async () => {
  await open("?sort=age&reverse=1");
  await scroll(600);
  await page.getByText("order held").waitFor();
  await until(async () => (await names()).length > 10);
  const before = await names();
  // New connections come first in this order, and would push all others down.
  await page.getByRole("button", { name: /new above: to the top/ }).waitFor();
  expect(await names()).toEqual(before);
  expect(await grid().evaluate((element) => element.scrollTop)).toBe(600);
  await page.getByRole("button", { name: /to the top/ }).click();
  await until(async () => (await page.getByText("order held").count()) === 0);
  await until(async () => (await names())[0] !== before[0]);
  expect(await grid().evaluate((element) => element.scrollTop)).toBe(0);
  expect(problems(page)).toEqual([]);
});

test("rows keep their places while the pointer is on them, and are put in order again afterwards", async () => {
  await open("?sort=age&reverse=1");
  await until(async () => (await names()).length > 10);
  await at(3).hover();
  const before = await names();
  const sums = new Set<string>();
  // New connections come first in this order, and would push all others down.
  await until(async () => {
    sums.add(await page.locator("[data-totals] strong").innerText());
    return sums.size > 4;
  });
  expect(await names()).toEqual(before);
  await page.getByText("order held under the pointer").waitFor();
  await head("Age").hover();
  await until(async () => (await names())[0] !== before[0]);
  expect(problems(page)).toEqual([]);
});

test("nothing moves about while numbers change", async () => {
  await open("?sort=rate");
  await page.evaluate(() => document.fonts.ready);
  await until(async () => (await page.locator("[data-mark], .marks .whole").count()) > 0);
  // What rows hold changes with their connections; they themselves are where they are drawn.
  const moved = await page.evaluateHandle(() => {
    const moved: string[] = [];
    const observer = new PerformanceObserver((list) => {
      const shifts = list.getEntries() as (PerformanceEntry & { sources?: { node: Node | null }[] })[];
      for (const { node } of shifts.flatMap(({ sources }) => sources ?? [])) {
        const at = node instanceof Element ? node : node?.parentElement;
        if (at?.isConnected === true && at.closest(".table-rows") === null) moved.push(at.outerHTML.slice(0, 120));
      }
    });
    observer.observe({ type: "layout-shift" });
    return moved;
  });
  const sums = new Set<string>();
  await until(async () => {
    sums.add(await page.locator("[data-totals]").innerText());
    return sums.size > 10;
  });
  expect(await moved.jsonValue()).toEqual([]);
});

test("all rows can be reached by scrolling", async () => {
  await open("?sort=source");
  await scroll(300);
  await page.getByText("order held").waitFor();
  const count = Number(await grid().getAttribute("aria-rowcount")) - 1;
  expect(count).toBeGreaterThan(100);
  await scroll(1e9);
  await until(async () => (await at(count - 1).count()) === 1 && (await at(count - 1).innerText()) !== "");
  expect(await page.locator("[role=row][data-place]").count()).toBeLessThan(60);
  expect(problems(page)).toEqual([]);
});

test("the space bar freezes the table and lets it go on", async () => {
  await open("?sort=age&reverse=1");
  await freeze();
  await until(async () => (await page.getByRole("button", { name: "Go on" }).getAttribute("aria-pressed")) === "true");
  const totals = page.locator("[data-totals] strong");
  const before = await names();
  const first = await totals.innerText();
  await until(async () => (await totals.innerText()) !== first);
  const after = await names();
  await scroll(300);
  await scroll(0);
  await until(async () => (await names())[0] === after[0]);
  expect(after.slice(0, 5)).toEqual(before.slice(0, 5));
  await page.keyboard.press(" ");
  await until(async () => (await names())[0] !== before[0]);
  expect(problems(page)).toEqual([]);
});

test("rows are chosen by the keyboard, the box and a range", async () => {
  await open("?sort=source");
  await freeze();
  await page.keyboard.press("j");
  await page.keyboard.press("j");
  await until(async () => (await grid().getAttribute("aria-activedescendant")) === "row-1");
  await page.keyboard.press("x");
  await page.getByText("1 selected").waitFor();
  expect(await at(1).getAttribute("aria-selected")).toBe("true");
  await at(1).getByRole("checkbox").click();
  await until(async () => (await page.getByText("1 selected").count()) === 0);
  await at(2).getByRole("checkbox").click();
  await at(6).getByRole("checkbox").click({ modifiers: ["Shift"] });
  await page.getByText("5 selected").waitFor();
  await page.getByRole("button", { name: "Clear the selection" }).click();
  await until(async () => (await page.locator("[aria-selected=true]").count()) === 0);
  await page.keyboard.press("Escape");
  await grid().focus();
  await page.keyboard.press("k");
  const name = await page.locator(".row.cursor").getAttribute("data-name");
  await page.keyboard.press("Enter");
  await until(() => new URL(page.url()).searchParams.get("open") === name);
  expect(problems(page)).toEqual([]);
});

test("a long press of a finger excludes a value, a short one adds it", async () => {
  number += 1;
  page = await daemon.signedIn(`table-${number}`, "viewer", { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true });
  await rows().first().waitFor();
  const value = async (): Promise<{ x: number; y: number }> => {
    const box = await page.locator("[data-column=proto] [data-term='proto == tcp']").first().boundingBox();
    if (box === null) throw new Error("no tcp is in sight");
    return { x: box.x + box.width / 2, y: box.y + box.height / 2 };
  };
  const { x, y } = await value();
  await page.touchscreen.tap(x, y);
  await until(() => query() === "proto == tcp");
  await page.goto(daemon.url);
  await rows().first().waitFor();
  // The finger stays until it has worked, and lifting it does nothing more.
  const tools = await page.context().newCDPSession(page);
  await tools.send("Input.dispatchTouchEvent", { type: "touchStart", touchPoints: [await value()] });
  await until(() => query() === "not (proto == tcp)");
  await tools.send("Input.dispatchTouchEvent", { type: "touchEnd", touchPoints: [] });
  await rows().first().waitFor();
  expect(query()).toBe("not (proto == tcp)");
  expect(problems(page)).toEqual([]);
});

test("j leads into the grid from wherever the focus is", async () => {
  await open("?q=tcp");
  await page.getByRole("button", { name: "Freeze", exact: true }).focus();
  await page.keyboard.press("j");
  await page.keyboard.press("ArrowDown");
  await until(async () => (await page.locator(".row.cursor").getAttribute("data-place")) === "1");
  expect(problems(page)).toEqual([]);
});

test("the keyboard goes through a row's values and adds one", async () => {
  await open("?q=tcp");
  await freeze();
  await page.keyboard.press("j");
  await page.keyboard.press("ArrowRight");
  await page.keyboard.press("ArrowRight");
  await until(async () => (await page.locator(".row.cursor .at").count()) === 1);
  const term = await page.locator(".row.cursor .at").getAttribute("data-term");
  expect(term).toMatch(/^src == /);
  await page.keyboard.press("-");
  await until(() => query() === `tcp and not (${term})`);
  expect(problems(page)).toEqual([]);
});

test("cells out of sight are there when one scrolls to them, by the pointer and by the keyboard", async () => {
  await open("?q=tcp");
  await freeze();
  expect(await cell(2, "mark").count()).toBe(0);
  await sideways();
  await until(async () => (await cell(2, "mark").innerText()) !== "");
  await grid().evaluate((element) => void (element.scrollLeft = 0));
  await until(async () => (await cell(2, "mark").count()) === 0);
  await page.keyboard.press("j");
  await until(async () => {
    await page.keyboard.press("ArrowRight");
    return (await page.locator(".row.cursor [data-column=mark] .at").count()) === 1;
  });
  expect(await grid().evaluate((element) => element.scrollLeft)).toBeGreaterThan(0);
  expect(problems(page)).toEqual([]);
});

test("columns are chosen, moved, made wider, remembered and put back", async () => {
  await open();
  const usual = await heads();
  await page.getByRole("button", { name: "Columns" }).click();
  const list = page.getByRole("group", { name: "Columns of the table" });
  await list.getByRole("checkbox", { name: "Zone", exact: true }).uncheck();
  await list.getByRole("button", { name: "Move Source to the left" }).click();
  await page.keyboard.press("Escape");
  await until(async () => !(await heads()).includes("Zone") && (await heads())[0] === "Source");
  // By the keyboard, and by dragging.
  await head("Protocol").getByRole("button").focus();
  await page.keyboard.press("Shift+ArrowLeft");
  await until(async () => (await heads())[0] === "Protocol");
  const width = async (): Promise<number> => (await head("State").boundingBox())?.width ?? 0;
  const before = await width();
  await head("State").getByRole("button").focus();
  await page.keyboard.press("+");
  await until(async () => (await width()) === before + 16);
  await head("State").dragTo(head("Source"), { sourcePosition: { x: 20, y: 15 }, targetPosition: { x: 20, y: 15 } });
  await until(async () => (await heads())[1] === "State");
  const edge = await head("State").locator(".edge").boundingBox();
  if (edge === null) throw new Error("the column has no edge");
  await page.mouse.move(edge.x + 4, edge.y + 10);
  await page.mouse.down();
  await page.mouse.move(edge.x + 64, edge.y + 10, { steps: 4 });
  await page.mouse.up();
  await until(async () => Math.abs((await width()) - before - 76) <= 1);
  const chosen = await heads();
  await page.reload();
  await rows().first().waitFor();
  expect(await heads()).toEqual(chosen);
  await page.getByRole("button", { name: "Columns" }).click();
  await list.getByRole("button", { name: "As they were at first" }).click();
  await until(async () => (await heads()).join() === usual.join());
  expect(problems(page)).toEqual([]);
});

test("all that matches is downloaded as CSV and as NDJSON", async () => {
  await open("?q=tcp");
  const save = async (format: string): Promise<string> => {
    const [file] = await Promise.all([
      page.waitForEvent("download"),
      page.getByRole("button", { name: `Download all that match as ${format}` }).click(),
    ]);
    expect(file.suggestedFilename()).toMatch(new RegExp(`^connections-.*\\.${format.toLowerCase()}$`));
    return readFile(await file.path(), "utf8");
  };
  const csv = (await save("CSV")).trim().split("\n");
  expect(csv[0]).toContain("src");
  expect(csv.length).toBeGreaterThan(5);
  const ndjson = (await save("NDJSON")).trim().split("\n");
  expect((JSON.parse(ndjson[0] ?? "") as { protocol: string }).protocol).toBe("tcp");
  expect(ndjson.at(-1)).toContain("truth");
  expect(problems(page)).toEqual([]);
});

test("a viewer sees why nothing can be deleted", async () => {
  await open("", "viewer");
  const button = page.getByRole("button", { name: "Delete all that match" });
  await until(() => button.isDisabled());
  await page.getByText("only operators may delete").waitFor();
  expect(problems(page)).toEqual([]);
});

test("nothing found and a refused query say what to do", async () => {
  await open();
  await page.goto(`${daemon.url}/?q=src+%3D%3D+192.0.2.77`);
  await page.locator("[data-state=nothing]").waitFor();
  await page.getByRole("button", { name: "Show all" }).click();
  await rows().first().waitFor();
  expect(query()).toBe("");
  expect(problems(page)).toEqual([]);
  await page.goto(`${daemon.url}/?q=dprt+%3D%3D+1`);
  await page.locator("[data-state=refused]").getByText("did you mean dport?").waitFor();
  // The strip goes on all the same, and nothing can be deleted by such a query.
  await page.locator("[data-fact=connections] strong").getByText(/^\d/).waitFor();
  expect(await page.getByRole("button", { name: "Delete all that match" }).isDisabled()).toBe(true);
  // A link's order may be wrong as well.
  await page.goto(`${daemon.url}/?q=tcp&sort=bytse`);
  await page.locator("[data-state=refused]").getByText("There is no such order").waitFor();
  await page.getByRole("button", { name: "The usual order" }).click();
  await rows().first().waitFor();
  expect(query()).toBe("tcp");
  // The browser itself tells that the stream was refused; nothing else is wrong.
  expect(problems(page).filter((problem) => !problem.includes("400 (Bad Request)"))).toEqual([]);
});

test("the totals are those of what is selected", async () => {
  await open("?q=icmp+or+icmpv6");
  await until(async () => (await page.locator("[data-totals] strong").innerText()) === `${await total("icmp or icmpv6")} connections`);
  expect(await page.locator("[data-totals]").innerText()).toMatch(/packets/);
  expect(problems(page)).toEqual([]);
});

test("it is all there in Italian, on a phone", async () => {
  number += 1;
  page = await daemon.signedIn(`table-${number}`, "viewer", { locale: "it-IT", viewport: { width: 390, height: 844 } });
  await page.getByRole("columnheader", { name: "Sorgente" }).waitFor();
  await rows().first().waitFor();
  expect(await page.getByRole("combobox", { name: "Interrogazione" }).isVisible()).toBe(true);
  expect(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth)).toBe(true);
  expect(problems(page)).toEqual([]);
});
