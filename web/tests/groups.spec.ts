import type { Locator, Page, Route } from "playwright-core";
import { afterAll, afterEach, beforeAll, expect, test, vi } from "vitest";
import { Daemon, problems, until } from "./daemon";

interface Sums {
  connections: number;
  bytes: number;
}

interface Groups {
  groups: (Sums & { key: Record<string, unknown> })[];
  total: Sums;
}

let daemon: Daemon;
let page: Page;
let number = 0;

beforeAll(async () => {
  daemon = await Daemon.start();
  // Enough different sources and ports to be worth grouping.
  await vi.waitUntil(async () => (await daemon.rows("udp")).length > 60, { timeout: 300_000, interval: 1000 });
});
afterAll(async () => daemon?.stop());
afterEach(() => daemon.leave());

async function open(search: string): Promise<void> {
  number += 1;
  page = await daemon.signedIn(`groups-${number}`, "viewer");
  await page.goto(`${daemon.url}/?tab=groups${search}`);
}

const table = (): Locator => page.getByRole("table", { name: "Groups" });
const groups = (): Locator => table().locator("tbody tr[data-group]");
const group = (key: string): Locator => table().locator(`tr[data-group="${key}"]`);
const head = (name: string): Locator => table().getByRole("columnheader", { name });
const inAddress = (name: string): string => new URL(page.url()).searchParams.get(name) ?? "";
const figure = (text: string): number => Number(text.replace(/\D/g, ""));

/** All in one look, as the numbers change every two seconds: what the table shows of each row. */
const cells = (): Promise<{ keys: string[]; numbers: string[] }[]> =>
  table()
    .locator("tbody tr, tfoot tr")
    .evaluateAll((all) =>
      all.map((row) => ({
        keys: [...row.querySelectorAll("th")].map((one) => one.textContent?.trim() ?? ""),
        numbers: [...row.querySelectorAll("td")].map((one) => one.textContent?.trim() ?? ""),
      })),
    );

test("by one field, the groups are those of the daemon and add up to all", async () => {
  await open("&by=proto");
  await group("tcp").waitFor();
  const shown = await cells();
  expect(shown.at(-1)?.keys).toEqual(["all"]);
  const sum = shown.slice(0, -1).reduce((all, row) => all + figure(row.numbers[0] ?? ""), 0);
  expect(sum).toBe(figure(shown.at(-1)?.numbers[0] ?? ""));
  const answer = (await daemon.ask(daemon.operator, "GET", "/groups?by=proto")) as Groups;
  expect(shown.slice(0, -1).flatMap((row) => row.keys).sort()).toEqual(answer.groups.map(({ key }) => String(key["proto"])).sort());
  // Shares are parts of all.
  const shares = shown.slice(0, -1).map((row) => Number.parseFloat(row.numbers[1] ?? ""));
  expect(shares.reduce((all, part) => all + part, 0)).toBeCloseTo(100, 0);
  const first = await page.locator(".sum").innerText();
  await until(async () => (await page.locator(".sum").innerText()) !== first);
  expect(problems(page)).toEqual([]);
});

test("fields are added from the list and taken away, and the address has them", async () => {
  await open("&by=proto");
  await group("tcp").waitFor();
  await page.getByLabel("Add a field to group by").selectOption({ label: "state" });
  await until(() => inAddress("by") === "proto,state");
  await table().getByRole("button", { name: "protocol · state" }).waitFor();
  await groups().filter({ hasText: "ESTABLISHED" }).first().waitFor();
  for (const row of (await cells()).slice(0, -1)) if (row.keys[0] !== "udp") expect(row.keys.length).toBe(2);
  // A chosen field is not offered again, and four are the most.
  expect(await page.getByLabel("Add a field to group by").getByRole("option", { name: "state", exact: true }).isDisabled()).toBe(true);
  await page.getByLabel("Add a field to group by").selectOption({ label: "uplink" });
  await page.getByLabel("Add a field to group by").selectOption({ label: "zone" });
  await page.getByLabel("Add a field to group by").waitFor({ state: "detached" });
  for (const field of ["state", "uplink", "zone"]) await page.getByRole("button", { name: `Do not group by ${field}` }).click();
  await until(() => inAddress("by") === "proto");
  await page.getByRole("button", { name: "Do not group by protocol" }).click();
  await page.getByText("Choose what to group by.").waitFor();
  await page.getByRole("button", { name: "Services" }).click();
  await until(() => inAddress("by") === "proto,dport");
  await groups().first().waitFor();
  expect(problems(page)).toEqual([]);
});

test("networks of any size are groups, and a wrong one is told", async () => {
  await open("&by=src");
  await groups().first().waitFor();
  await page.getByLabel("Add a field to group by").selectOption({ label: "another network…" });
  const input = page.getByLabel("Network, such as dst/16 or peer/24/56");
  await input.fill("no network");
  await page.keyboard.press("Enter");
  expect(await input.evaluate((one: HTMLInputElement) => one.validity.valid)).toBe(false);
  expect(inAddress("by")).toBe("src");
  await input.fill("peer/8");
  await page.keyboard.press("Enter");
  await until(() => inAddress("by") === "src,peer/8");
  await until(async () => (await groups().first().locator("th").nth(1).innerText()).includes("/8"));
  await page.goto(`${daemon.url}/?tab=groups&by=nothing`);
  const told = page.locator("[data-told=failed]");
  await told.waitFor();
  expect(await told.innerText()).toContain("this cannot be grouped by");
  // The browser notes the answer 400.
  expect(problems(page).filter((problem) => !problem.includes("400"))).toEqual([]);
});

test("a click shows a group's connections, an Alt-click all others", async () => {
  await open("&by=proto,state&q=tcp");
  const link = table().getByRole("link", { name: "tcp", exact: true }).first();
  await link.waitFor();
  const state = await groups().first().locator("th").nth(1).innerText();
  await link.click();
  await until(() => inAddress("q") === `tcp and proto == tcp and state == ${state}` || inAddress("q") === `tcp and state == ${state}`);
  await page.locator("[role=row][data-name]").first().waitFor();
  expect(inAddress("tab")).toBe("");
  await page.goBack();
  // A later field alone adds only itself.
  await groups().first().locator("th").nth(1).getByRole("link").click({ modifiers: ["Alt"] });
  await until(() => /^tcp and not \(state == \w+\)$/.test(inAddress("q")));
  await page.locator("[role=row][data-name]").first().waitFor();
  expect(problems(page)).toEqual([]);
});

test("heads sort at the daemon, and turn round", async () => {
  await open("&by=src");
  await groups().first().waitFor();
  const sizes = async (column: number): Promise<number[]> => {
    const units: Readonly<Record<string, number>> = { B: 1, kB: 1e3, MB: 1e6, GB: 1e9 };
    return (await cells())
      .filter(({ keys }) => /[.:]/.test(keys[0] ?? ""))
      .map(({ numbers }) => {
        const [amount, unit = ""] = (numbers[column] ?? "").split(" ");
        return Number(amount?.replace(/,/g, "")) * (units[unit] ?? 1);
      });
  };
  const isFalling = (all: readonly number[]): boolean => all.length > 2 && all.every((one, place) => place === 0 || one <= (all[place - 1] ?? 0));
  await head("Bytes").getByRole("button").click();
  await until(() => inAddress("groupSort") === "bytes");
  await until(async () => isFalling(await sizes(2)));
  expect(await head("Bytes").getAttribute("aria-sort")).toBe("descending");
  await head("Bytes").getByRole("button").click();
  await until(async () => (await head("Bytes").getAttribute("aria-sort")) === "ascending");
  await until(async () => isFalling((await sizes(2)).toReversed()));
  await head("source").getByRole("button").click();
  await until(() => inAddress("groupSort") === "key");
  expect(await head("source").getAttribute("aria-sort")).toBe("ascending");
  // The sign stands apart from the word.
  expect(await head("source").locator("[aria-hidden]").evaluate((sign) => Number.parseFloat(getComputedStyle(sign).marginLeft))).toBeGreaterThan(2);
  expect(problems(page)).toEqual([]);
});

test("the query holds for groups, and nothing found says so", async () => {
  await open("&by=proto&q=udp");
  await group("udp").waitFor();
  expect((await cells()).map(({ keys }) => keys[0])).toEqual(["udp", "all"]);
  const line = page.getByRole("combobox", { name: "Query", exact: true });
  await line.fill("src == 192.0.2.77");
  await page.keyboard.press("Enter");
  await page.locator("[data-told=empty]").getByText("No connection matches.").waitFor();
  expect(problems(page)).toEqual([]);
});

test("more groups than a hundred are shown step by step, the rest summed up", async () => {
  await open("&by=proto,sport");
  await table().locator("[data-row=others]").waitFor();
  const shown = await cells();
  expect(await groups().count()).toBe(100);
  const others = shown.find(({ keys }) => keys[0]?.includes("other group"));
  const sum = shown.filter((row) => row.keys.length > 1).reduce((all, row) => all + figure(row.numbers[0] ?? ""), 0);
  expect(sum + figure(others?.numbers[0] ?? "")).toBe(figure(shown.at(-1)?.numbers[0] ?? ""));
  await page.getByRole("button", { name: "Show more groups" }).click();
  await until(async () => (await groups().count()) > 100);
  await table().locator("[data-row=others]").waitFor({ state: "detached" });
  expect(problems(page)).toEqual([]);
});

const picture = (): Locator => page.getByRole("group", { name: /^Flow from/ });

test("the flow draws source, uplink and destination, and leads to connections", async () => {
  await open("&by=src");
  await groups().first().waitFor();
  await page.getByRole("button", { name: "Flow", exact: true }).click();
  await picture().waitFor();
  expect(inAddress("by")).toBe("src,provider,dst");
  expect(inAddress("shape")).toBe("flow");
  const nodes = await picture()
    .locator("a[data-node] rect:nth-of-type(2)")
    .evaluateAll((all) => all.map((one) => Number(one.getAttribute("x"))));
  const columns = [...new Set(nodes)].sort((a, b) => a - b);
  expect(columns.length).toBe(3);
  // Every band has a name, and begins and ends within the picture.
  expect(await picture().locator("a[data-band]").count()).toBeGreaterThan(3);
  // A press of the keyboard on a node.
  const node = picture().locator("a[data-node='1']");
  await node.focus();
  await page.keyboard.press("Enter");
  await until(() => inAddress("q") === "provider == 1" && inAddress("tab") === "");
  await page.goBack();
  await picture().waitFor();
  const band = picture().locator("a[data-band$='→ 1']").first();
  const name = (await band.getAttribute("data-band")) ?? "";
  const title = (await band.locator("title").textContent()) ?? "";
  await band.dispatchEvent("click");
  await until(() => inAddress("q").endsWith("and provider == 1"));
  expect(title).toContain(inAddress("q"));
  expect(name).toContain(" → ");
  expect(problems(page)).toEqual([]);
});

/** Groups that a scenario makes up: two uplinks, of which the one has the connections and the other the bytes. */
async function madeUp(route: Route): Promise<void> {
  const sums = (connections: number, bytes: number) => ({ connections, bytes, packets: connections, rate: bytes, rate_orig: 0, rate_reply: bytes, uncounted: 0, share: 0.5, share_bytes: 0.5 });
  await route.fulfill({
    json: {
      by: ["src", "provider", "dst"],
      sort: "connections",
      order: "asc",
      complete: true,
      names: {},
      total: { ...sums(100, 1000), groups: 2 },
      groups: [
        { key: { src: "10.0.0.1", provider: 1, dst: "198.51.100.1" }, ...sums(90, 100) },
        { key: { src: "10.0.0.1", provider: 2, dst: "198.51.100.2" }, ...sums(10, 900) },
      ],
    },
  });
}

test("widths are by connections or bytes, and an uplink keeps its colour", async () => {
  number += 1;
  page = await daemon.signedIn(`groups-${number}`, "viewer");
  await page.route("**/api/v1/groups?*", madeUp);
  await page.goto(`${daemon.url}/?tab=groups&by=src,provider,dst&shape=flow`);
  await picture().waitFor();
  const drawn = (uplink: string): Promise<{ colour: string; height: number }> =>
    picture()
      .locator(`a[data-node='${uplink}'] rect:nth-of-type(2)`)
      .evaluate((one) => ({ colour: getComputedStyle(one).fill, height: Number(one.getAttribute("height")) }));
  const [first, second] = [await drawn("1"), await drawn("2")];
  expect(first.height).toBeGreaterThan(second.height * 5);
  expect(first.colour).not.toBe(second.colour);
  await page.getByLabel("Widths by").selectOption("bytes");
  await until(async () => (await drawn("2")).height > (await drawn("1")).height * 5);
  expect((await drawn("1")).colour).toBe(first.colour);
  expect((await drawn("2")).colour).toBe(second.colour);
  // The bands have the colours of their uplinks.
  const bands = await picture()
    .locator("a[data-band='10.0.0.1 → 1'] path, a[data-band='1 → 198.51.100.1'] path")
    .evaluateAll((all) => all.map((one) => getComputedStyle(one).stroke));
  expect(bands).toEqual([first.colour, first.colour]);
  expect(problems(page)).toEqual([]);
});

test("the flow's table stands whole beside it, on 1440 pixels", async () => {
  await open("&by=src,provider,dst&shape=flow");
  await picture().waitFor();
  await groups().first().waitFor();
  const beside = page.locator(".beside");
  await until(async () => await beside.evaluate((one) => one.scrollWidth <= one.clientWidth + 1));
  const within = await beside.evaluate((one) => one.getBoundingClientRect().right <= innerWidth);
  expect(within).toBe(true);
  expect(problems(page)).toEqual([]);
});

test("on a phone the controls leave most of the screen to the groups", async () => {
  number += 1;
  page = await daemon.signedIn(`groups-${number}`, "viewer", { viewport: { width: 390, height: 844 } });
  await page.goto(`${daemon.url}/?tab=groups`);
  await groups().first().waitFor();
  const content = await page.locator("section.groups > .content").boundingBox();
  expect(844 - (content?.y ?? 844)).toBeGreaterThan(844 * 0.4);
  // All of the usual groups can be reached all the same.
  await page.getByRole("button", { name: "Source → uplink → destination" }).click();
  await until(() => inAddress("by") === "src,provider,dst");
  expect(problems(page)).toEqual([]);
});

test("groups that cannot be read say why, and come back", async () => {
  number += 1;
  page = await daemon.signedIn(`groups-${number}`, "viewer");
  let isBroken = true;
  await page.route("**/api/v1/groups?*", (route) =>
    isBroken ? route.fulfill({ status: 500, json: { code: "internal", message: "it broke", hint: "look at the log" } }) : route.continue(),
  );
  await page.goto(`${daemon.url}/?tab=groups&by=proto`);
  await page.locator("[data-told=failed]").getByText("it broke: look at the log").waitFor();
  isBroken = false;
  await page.getByRole("button", { name: "Try again" }).click();
  await group("tcp").waitFor();
  // What was known stays while it fails, and is told to be old.
  isBroken = true;
  const stale = page.locator("section.groups [role=status].bad");
  await stale.waitFor();
  expect(await group("tcp").count()).toBe(1);
  expect(problems(page).filter((problem) => !problem.includes("500"))).toEqual([]);
});
