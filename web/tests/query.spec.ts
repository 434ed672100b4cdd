import type { Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { Daemon, problems, until } from "./daemon";

let daemon: Daemon;
let page: Page;
let number = 0;

beforeAll(async () => {
  daemon = await Daemon.start();
});
afterAll(() => daemon.stop());
afterEach(() => daemon.leave());

async function open(search = ""): Promise<void> {
  number += 1;
  page = await daemon.signedIn(`query-${number}`, "operator");
  if (search !== "") await page.goto(`${daemon.url}/${search}`);
  await row().first().waitFor();
}

const line = () => page.getByRole("combobox", { name: "Query", exact: true });
const row = () => page.locator("[role=row][data-name]");
const options = () => page.getByRole("listbox", { name: "What can follow" }).getByRole("option");
const told = () => page.locator("#query-said");
const query = (): string => new URL(page.url()).searchParams.get("q") ?? "";
const shown = (column: string): Promise<string[]> =>
  page.locator(`[role=row][data-name]:not(.ended):not(.left) [data-column=${column}]`).allInnerTexts();

async function ask(text: string): Promise<void> {
  await line().fill(text);
  await line().press("Enter");
  await until(() => query() === text);
}

test("a query is typed, shown in colours, kept in the address, and selects", async () => {
  await open();
  await ask("udp and dport == 53");
  await until(async () => (await shown("proto")).every((text) => text === "udp"));
  await until(async () => (await shown("destination")).every((text) => text.endsWith(":53")));
  const kinds = await page.locator(".drawn .text span").evaluateAll((spans) => spans.map((span) => span.classList[0]));
  expect(kinds).toEqual(["flag", "space", "logic", "space", "field", "space", "operator", "space", "value"]);
  await page.reload();
  await row().first().waitFor();
  expect(await line().inputValue()).toBe("udp and dport == 53");
  expect(problems(page)).toEqual([]);
});

test("a link shows its query, and back returns to the one before", async () => {
  await open("?q=icmp");
  await until(async () => (await shown("proto")).every((text) => text === "icmp"));
  await ask("tcp");
  await until(async () => (await shown("proto")).every((text) => text === "tcp"));
  await page.goBack();
  await until(async () => (await line().inputValue()) === "icmp");
  await until(async () => (await shown("proto")).every((text) => text === "icmp"));
  expect(problems(page)).toEqual([]);
});

test("completion goes by arrows, Enter and Tab, at the cursor", async () => {
  await open();
  await page.keyboard.press("/");
  expect(await line().evaluate((input) => input === document.activeElement)).toBe(true);
  await page.keyboard.type("tcp and stat");
  await options().first().waitFor();
  expect(await options().locator("code").allInnerTexts()).toContain("status");
  await page.keyboard.press("ArrowDown");
  expect(await options().first().getAttribute("aria-selected")).toBe("true");
  await page.keyboard.press("Enter");
  await until(async () => (await line().inputValue()) === "tcp and state ");
  await options().getByText("==", { exact: true }).waitFor();
  await page.keyboard.press("Tab");
  await until(async () => (await line().inputValue()) === "tcp and state == ");
  await page.keyboard.type("EST");
  await until(async () => (await options().locator("code").allInnerTexts()).join() === "ESTABLISHED");
  await page.keyboard.press("Tab");
  await until(async () => (await line().inputValue()).trim() === "tcp and state == ESTABLISHED");
  // In the middle of the text, what is there behind the cursor stays.
  await line().fill("sta and nat");
  await line().evaluate((input: HTMLInputElement) => input.setSelectionRange(3, 3));
  await page.keyboard.press("Control+ ");
  await options().getByText("state", { exact: true }).click();
  await until(async () => (await line().inputValue()) === "state and nat");
  expect(problems(page)).toEqual([]);
});

test("completion waits for a slow daemon, and takes what was typed meanwhile into account", async () => {
  await open();
  // Slower than somebody types, and than the page waits before it asks.
  await page.route("**/api/v1/query/**", async (route) => {
    await new Promise((go) => setTimeout(go, 400));
    await route.continue();
  });
  await line().pressSequentially("tcp and sta");
  await options().first().waitFor();
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("ArrowDown");
  const chosen = await options().nth(1).locator("code").innerText();
  await page.keyboard.type(chosen.charAt(3));
  await page.keyboard.press("Tab");
  await until(async () => (await line().inputValue()) === `tcp and ${chosen} `);
  await options().first().waitFor();
  expect(problems(page)).toEqual([]);
});

test("Escape closes completion, and what was typed stays", async () => {
  await open();
  await line().pressSequentially("pro");
  await options().first().waitFor();
  await page.keyboard.press("Escape");
  await until(async () => (await options().count()) === 0);
  expect(await line().inputValue()).toBe("pro");
  expect(problems(page)).toEqual([]);
});

test("a mistake is marked at its place and explained, and the table keeps the query before", async () => {
  await open("?q=udp");
  await line().fill("tcp and dprt == 443");
  await until(async () => (await page.locator(".drawn .mistake").allInnerTexts()).join() === "dprt");
  await until(async () => (await told().innerText()).includes("did you mean dport?"));
  expect(await told().innerText()).toContain("Expected here: a field");
  expect(await line().getAttribute("aria-invalid")).toBe("true");
  expect(query()).toBe("udp");
  await until(async () => (await shown("proto")).every((text) => text === "udp"));
  await line().fill("tcp and");
  await until(async () => (await page.locator(".drawn .mistake").count()) > 0);
  await ask("tcp and dport == 443");
  await until(async () => (await page.locator(".drawn .mistake").count()) === 0);
  expect(problems(page)).toEqual([]);
});

test("a query that can hardly be meant is shown with a warning", async () => {
  await open();
  await line().fill("tcp and udp");
  await until(async () => (await told().innerText()).includes("no connection can be such"));
  await until(async () => (await page.locator("[data-state=nothing]").count()) === 1);
  await page.getByRole("button", { name: "Show all" }).click();
  await row().first().waitFor();
  expect(await line().inputValue()).toBe("");
  expect(problems(page)).toEqual([]);
});

test("the arrow up recalls earlier queries, also after a reload", async () => {
  await open();
  await ask("udp and nat");
  await ask("tcp");
  await page.reload();
  await row().first().waitFor();
  await line().fill("");
  await page.keyboard.press("Escape");
  await line().focus();
  await page.keyboard.press("ArrowUp");
  await until(async () => (await line().inputValue()) === "tcp");
  await page.keyboard.press("ArrowUp");
  await until(async () => (await line().inputValue()) === "udp and nat");
  await page.keyboard.press("ArrowDown");
  await until(async () => (await line().inputValue()) === "tcp");
  await page.keyboard.press("ArrowDown");
  await until(async () => (await line().inputValue()) === "");
  expect(problems(page)).toEqual([]);
});

test("queries are saved by name, chosen and deleted", async () => {
  await open();
  await ask("udp and dport == 53");
  await page.getByRole("button", { name: "Saved queries" }).click();
  const list = page.getByRole("group", { name: "Saved queries" });
  await list.getByLabel("Name").fill("names asked");
  await list.getByRole("button", { name: "Save this query" }).click();
  await list.getByRole("button", { name: "names asked udp and dport" }).waitFor();
  await page.keyboard.press("Escape");
  await ask("tcp");
  await page.reload();
  await row().first().waitFor();
  await page.getByRole("button", { name: "Saved queries" }).click();
  await list.getByRole("button", { name: "names asked udp and dport" }).click();
  await until(() => query() === "udp and dport == 53");
  await page.getByRole("button", { name: "Saved queries" }).click();
  await list.getByRole("button", { name: "Delete “names asked”" }).click();
  await until(async () => (await list.innerText()).includes("None yet"));
  expect(problems(page)).toEqual([]);
});

test("plain controls write into the query and read from it", async () => {
  await open();
  const protocol = page.getByRole("combobox", { name: "Protocol", exact: true });
  const state = page.getByRole("combobox", { name: "State", exact: true });
  await protocol.selectOption("tcp");
  await until(() => query() === "tcp");
  expect(await state.locator("option").allInnerTexts()).toEqual([
    "any state",
    "SYN_SENT",
    "SYN_RECV",
    "ESTABLISHED",
    "FIN_WAIT",
    "CLOSE_WAIT",
    "LAST_ACK",
    "TIME_WAIT",
    "CLOSE",
    "SYN_SENT2",
  ]);
  await state.selectOption("TIME_WAIT");
  await until(() => query() === "tcp and state == TIME_WAIT");
  await until(async () => (await line().inputValue()) === "tcp and state == TIME_WAIT");
  await until(async () => (await shown("state")).every((text) => text === "TIME_WAIT"));
  // UDP has no states: the state goes, and cannot be chosen.
  await protocol.selectOption("udp");
  await until(() => query() === "udp");
  await until(() => state.isDisabled());
  await ask("src in 10.0.0.0/8 and tcp and state == CLOSE");
  await until(async () => (await protocol.inputValue()) === "tcp" && (await state.inputValue()) === "CLOSE");
  await protocol.selectOption("");
  await until(() => query() === "src in 10.0.0.0/8 and state == CLOSE");
  expect(problems(page)).toEqual([]);
});

test("the number of rows can be limited, and is in the address", async () => {
  await open();
  await page.getByRole("combobox", { name: "Show", exact: true }).selectOption("25");
  await until(() => new URL(page.url()).searchParams.get("limit") === "25");
  await until(async () => (await page.getByRole("grid").getAttribute("aria-rowcount")) === "26");
  expect(problems(page)).toEqual([]);
});
