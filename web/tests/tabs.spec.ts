import type { Locator, Page, Route } from "playwright-core";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { Daemon, problems, until } from "./daemon";

let daemon: Daemon;
let page: Page;
let number = 0;

beforeAll(async () => {
  daemon = await Daemon.start();
});
afterAll(async () => daemon?.stop());
afterEach(() => daemon.leave());

type Options = Parameters<Daemon["signedIn"]>[2];

async function open(tab: string, role: "operator" | "viewer" = "viewer", options: Options = {}): Promise<string> {
  number += 1;
  const name = `tabs-${number}`;
  page = await daemon.signedIn(name, role, options);
  await page.goto(`${daemon.url}/?tab=${tab}`);
  return name;
}

const inAddress = (name: string): string => new URL(page.url()).searchParams.get(name) ?? "";
const figure = (text: string): number => Number(text.replace(/[^\d]/g, ""));
const ask = <T>(method: string, path: string, body?: unknown): Promise<T> => daemon.ask(daemon.operator, method, path, body) as Promise<T>;

/** The last number of an address in 192.0.2.0/24 that no scenario has used. */
let host = 0;

interface Entry {
  src: string;
  name: string;
}

/** A connection that is made for one scenario, so that its events are known beforehand. */
async function made(more: object = {}): Promise<Entry> {
  host += 1;
  const src = `192.0.2.${host}`;
  const { connection } = await ask<{ connection: { name: string } }>("POST", "/connections", {
    protocol: "tcp",
    src,
    dst: "198.51.100.200",
    sport: 40_000,
    dport: 21,
    timeout: 900,
    state: "ESTABLISHED",
    status: ["ASSURED", "SEEN_REPLY"],
    ...more,
  });
  return { src, name: connection.name };
}

const lines = (): Locator => page.locator("[role=row][data-kind]");
const line = (src: string, kind: string): Locator => page.locator(`[role=row][data-kind=${kind}]`, { hasText: `${src}:40000` });

/** Waits until the stream of events is there: what happens from then on is told. */
async function listening(search: string): Promise<void> {
  const begun = page.waitForResponse((answer) => answer.url().includes("/api/v1/events"));
  await page.goto(`${daemon.url}/?tab=events${search}`);
  await begun;
}

test("births, changes and ends appear as they happen", async () => {
  await open("events");
  await listening("&q=src+in+192.0.2.0/24");
  await page.getByText("Waiting for the first event.").waitFor();
  const { src, name } = await made();
  await line(src, "new").waitFor();
  const born = await line(src, "new").innerText();
  expect(born).toContain("198.51.100.200:21");
  expect(born).toMatch(/\d\d:\d\d:\d\d/);
  expect(born).not.toMatch(/[AP]M/);
  await ask("PATCH", `/connections/${name}`, { mark: 5 });
  await line(src, "update").first().waitFor();
  await ask("DELETE", `/connections/${name}`);
  await line(src, "destroy").waitFor();
  expect(await line(src, "destroy").innerText()).toContain("lasted");
  // The newest stands above.
  expect(await lines().first().getAttribute("data-kind")).toBe("destroy");
  expect(problems(page)).toEqual([]);
});

test("traffic of the network is told without being asked for, and only what the query selects", async () => {
  await open("events");
  await listening("&q=udp");
  await until(async () => (await lines().count()) > 5);
  expect(new Set(await page.locator("[role=row][data-kind] .protocol").allInnerTexts())).toEqual(new Set(["udp"]));
  // A value goes into the query, and the list begins anew.
  const value = lines().first().locator(".service button");
  const service = (await value.getAttribute("title"))?.match(/dport == \d+/)?.[0] ?? "";
  await value.click();
  await until(() => inAddress("q") === `udp and ${service}`);
  await until(async () => (await lines().count()) > 0);
  expect(problems(page)).toEqual([]);
});

test("paused, nothing moves, and what came meanwhile is counted and shown later", async () => {
  await open("events");
  await listening("&q=src+in+192.0.2.0/24");
  const first = await made();
  await line(first.src, "new").waitFor();
  await page.getByRole("button", { name: "Pause" }).click();
  await page.getByText("paused, none came yet").waitFor();
  const second = await made();
  await page.locator("[data-meanwhile]").getByText(/^\d+ came meanwhile$/).waitFor();
  expect(await line(second.src, "new").count()).toBe(0);
  // The space bar is the same button.
  await page.locator("main").focus();
  await page.keyboard.press(" ");
  await line(second.src, "new").waitFor();
  expect(await page.getByRole("button", { name: "Pause" }).getAttribute("aria-pressed")).toBe("false");
  await page.getByRole("button", { name: "Clear" }).click();
  await until(async () => (await lines().count()) === 0);
  expect(problems(page)).toEqual([]);
});

test("kinds are chosen, and the address has them", async () => {
  await open("events");
  await listening("&q=src+in+192.0.2.0/24");
  const { src, name } = await made();
  await ask("DELETE", `/connections/${name}`);
  await line(src, "destroy").waitFor();
  await page.getByRole("checkbox", { name: /births/ }).uncheck();
  await until(async () => (await line(src, "new").count()) === 0);
  expect(inAddress("kinds")).toBe("update,destroy");
  expect(await line(src, "destroy").count()).toBe(1);
  expect(figure(await page.locator("[data-count=new]").innerText())).toBe(1);
  await page.getByRole("checkbox", { name: /changes/ }).uncheck();
  await page.getByRole("checkbox", { name: /deaths/ }).uncheck();
  await page.getByText("No kind is chosen.").waitFor();
  expect(problems(page)).toEqual([]);
});

test("an event opens its connection", async () => {
  await open("events");
  await listening("&q=src+in+192.0.2.0/24");
  const { src, name } = await made();
  await line(src, "new").getByRole("button", { name: "Details of this connection" }).click();
  await page.getByRole("complementary", { name: "Connection" }).getByText(`${src}:40000`).first().waitFor();
  expect(inAddress("open")).toBe(name);
  expect(problems(page)).toEqual([]);
});

test("what the stream lacks is told among the events: gaps, losses, being too slow", async () => {
  await open("health");
  const said = ["gap\ndata: {\"missed\":1234}", "lost\ndata: {\"lost\":7}", "lost\ndata: {}", "too-slow\ndata: {}"];
  const body = said.map((one) => `event: ${one}\n\n`).join("");
  let asked = 0;
  await page.route("**/api/v1/events*", (route: Route) => {
    asked += 1;
    return asked === 1 ? route.fulfill({ contentType: "text/event-stream", body }) : route.continue();
  });
  await page.goto(`${daemon.url}/?tab=events`);
  const told = (kind: string): Locator => page.locator(`[data-said=${kind}]`);
  await told("too-slow").waitFor();
  expect(await told("gap").innerText()).toContain("1,234 events before this are not remembered");
  expect(await told("lost").allInnerTexts()).toEqual([
    expect.stringContaining("how many is not known"),
    expect.stringContaining("could not hand over 7 events"),
  ]);
  expect(await told("too-slow").innerText()).toContain("A narrower query helps");
  // It goes on by itself.
  await told("again").waitFor();
  await lines().first().waitFor();
  expect(problems(page)).toEqual([]);
});

test("a wrong query, and a session that is over, are told in the place of events", async () => {
  const name = await open("events");
  await page.goto(`${daemon.url}/?tab=events&q=dprt+%3D%3D+1`);
  await page.locator("[data-told=failed]").getByText("did you mean dport?").waitFor();
  await listening("&q=udp");
  await lines().first().waitFor();
  daemon.revoke(name);
  await page.locator("[data-said=signed-out]").waitFor();
  await page.getByText("You are signed out").first().waitFor();
  // Nothing more comes.
  expect(await lines().count()).toBeGreaterThan(0);
  expect(problems(page).filter((problem) => !/40[01]/.test(problem))).toEqual([]);
});

/** A connection with a helper, and another that it expects. */
async function expecting(port: number): Promise<Entry> {
  const master = await made({ helper: "ftp" });
  await ask("POST", "/expectations", {
    protocol: "tcp",
    src: "198.51.100.200",
    dst: master.src,
    dport: port,
    timeout: 300,
    master: { protocol: "tcp", src: master.src, dst: "198.51.100.200", sport: 40_000, dport: 21 },
  });
  return master;
}

interface Expectations {
  expectations: { id: number; tuple: { dport: number } }[];
}

const expected = (): Locator => page.locator("tr[data-expectation]");

test("nothing expected says so; what helpers expect is listed with its master", async () => {
  for (const { id } of (await ask<Expectations>("GET", "/expectations")).expectations) await ask("DELETE", `/expectations/${id}`);
  await open("expectations");
  await page.getByText("No connection is expected now.").waitFor();
  const master = await expecting(41_001);
  await expected().waitFor();
  const row = await expected().innerText();
  expect(row).toContain("tcp");
  expect(row).toContain(`${master.src}:41001`);
  expect(row).toContain(`${master.src}:40000 → 198.51.100.200:21`);
  await page.getByRole("button", { name: `${master.src}:40000 → 198.51.100.200:21` }).click();
  await until(async () => (await page.locator("[role=row][data-name]").count()) === 1);
  expect(await page.locator("[role=row][data-name]").getAttribute("data-name")).toBe(master.name);
  expect(problems(page)).toEqual([]);
});

test("an operator forgets an expectation after a second word, a viewer sees why not", async () => {
  const { src } = await expecting(41_002);
  await open("expectations", "operator");
  const row = expected().filter({ hasText: `${src}:41002` });
  const there = async (): Promise<boolean> => (await ask<Expectations>("GET", "/expectations")).expectations.some(({ tuple }) => tuple.dport === 41_002);
  await row.getByRole("button", { name: "Forget", exact: true }).click();
  await row.getByText("Its connection will then not be let in as related.").waitFor();
  // The question has the focus, and "no" takes it back.
  expect(await page.evaluate(() => document.activeElement?.textContent)).toBe("Forget it");
  await row.getByRole("button", { name: "Keep it" }).click();
  expect(await there()).toBe(true);
  await row.getByRole("button", { name: "Forget", exact: true }).click();
  await row.getByRole("button", { name: "Forget it" }).click();
  await page.getByText("The expectation was forgotten.").waitFor();
  await row.waitFor({ state: "detached" });
  expect(await there()).toBe(false);
  expect(problems(page)).toEqual([]);
  await page.context().close();
  await expecting(41_003);
  await open("expectations");
  const button = expected().first().getByRole("button", { name: "Forget" });
  await button.waitFor();
  expect(await button.isDisabled()).toBe(true);
  await page.getByText("A viewer may see, not change: an operator's token is needed to forget one.").first().waitFor();
  expect(problems(page)).toEqual([]);
});

interface Statistics {
  total: Record<string, number>;
  cpus: { cpu: number; counters: Record<string, number> }[];
  settings: Record<string, number>;
}

test("statistics are those of the kernel, for each CPU, with words", async () => {
  await open("statistics");
  const known = await ask<Statistics>("GET", "/statistics");
  await page.locator("tr[data-counter=drop]").waitFor();
  const names = await page.locator("tr[data-counter]:not([data-counter^='expect.'])").evaluateAll((all) => all.map((one) => one.getAttribute("data-counter")));
  expect([...names].sort()).toEqual(Object.keys(known.total).sort());
  // The bad ones stand above, and each has its meaning.
  expect(names.slice(0, 4).sort()).toEqual(["chaintoolong", "drop", "early_drop", "insert_failed"]);
  for (const name of names) expect(await page.locator(`tr[data-counter=${name}] .meaning`).innerText(), String(name)).not.toBe("");
  expect(await page.locator("tr[data-cpu]").evaluateAll((all) => all.map((one) => Number(one.getAttribute("data-cpu"))))).toEqual(known.cpus.map(({ cpu }) => cpu));
  // How fast they rise is known after the second reading.
  await until(async () => /^[\d.]+$/.test(await page.locator("tr[data-counter=drop] td").nth(1).innerText()));
  const limit = page.locator("tr[data-setting=nf_conntrack_max] td").first();
  expect(figure(await limit.innerText())).toBe(known.settings["nf_conntrack_max"]);
  expect(problems(page)).toEqual([]);
});

test("counters that rise tell how fast, in the page's language, and stand out", async () => {
  await open("health", "viewer", { locale: "en-GB" });
  let readings = 0;
  await page.route("**/api/v1/statistics", (route) => {
    readings += 1;
    const counters = { insert_failed: readings === 1 ? 5 : 6, found: 10, drop: 0 };
    return route.fulfill({
      json: { connections: 10, limit: 100, total: counters, cpus: [{ cpu: 0, counters }, { cpu: 1, counters: { found: 0 } }], expectations: {}, settings: {} },
    });
  });
  await page.goto(`${daemon.url}/?tab=statistics`);
  const row = page.locator("tr[data-counter=insert_failed]");
  const speed = (): Promise<string> => row.locator("td").nth(1).innerText();
  await until(async () => /^0\.\d$/.test(await speed()));
  expect(await row.locator("td.bad").innerText()).toMatch(/worth a look:\s*6/);
  // A CPU that lacks a counter has a dash, not a zero.
  expect(await page.locator("tr[data-cpu='1'] td").allInnerTexts()).toEqual(["–", "–", "0"]);
  expect(await page.locator("tr[data-cpu='0']").innerText()).toMatch(/\+0\.\d\/s/);
  // Another language has another comma.
  readings = 0;
  await page.getByLabel("Language").selectOption("it");
  await page.reload();
  await until(async () => /^0,\d$/.test(await speed()));
  expect(problems(page)).toEqual([]);
});

test("settings are found by name and by meaning", async () => {
  await open("statistics");
  const settings = page.locator("tr[data-setting]");
  await settings.first().waitFor();
  const all = await settings.count();
  await page.getByLabel("Find a setting").fill("udp_timeout");
  await until(async () => (await settings.count()) < all && (await settings.count()) > 0);
  for (const name of await settings.evaluateAll((rows) => rows.map((one) => one.getAttribute("data-setting")))) expect(name).toContain("udp_timeout");
  await page.getByLabel("Find a setting").fill("nothing has this name");
  await page.getByText("No setting has this in its name or meaning.").waitFor();
  expect(problems(page)).toEqual([]);
});

interface Report {
  findings: { code: string; severity: string; title: string; remedy: { kind: string; text: string }[] }[];
  looked_at: { code: string; verdict: string }[];
}

test("findings are told with what mends them, and the command is copied", async () => {
  await open("health", "viewer", { permissions: ["clipboard-read", "clipboard-write"] });
  const report = await ask<Report>("GET", "/health");
  const finding = report.findings.find(({ code }) => code === "loose-pickup");
  const command = finding?.remedy.find(({ kind }) => kind === "run")?.text ?? "";
  expect(command).toContain("sysctl -w");
  const card = page.locator("[data-finding=loose-pickup]");
  await card.waitFor();
  expect(await card.innerText()).toContain(finding?.title);
  const copy = card.getByRole("button", { name: `Copy: ${command}` });
  await copy.click();
  await until(async () => (await copy.innerText()) === "Copied");
  expect(await page.evaluate(() => navigator.clipboard.readText())).toBe(command);
  expect((await page.locator("[data-fine] code").allInnerTexts()).sort()).toEqual(
    report.looked_at.filter(({ verdict }) => verdict === "fine").map(({ code }) => code).sort(),
  );
  // Only things to know: nothing is wrong.
  await page.locator("[data-well]").waitFor();
  expect(await page.locator("[data-fact=health] strong").innerText()).toBe("all is well");
  expect(problems(page)).toEqual([]);
});

test("a warning stands first and is in the strip, and nothing is said to be well", async () => {
  await open("statistics");
  const real = await ask<Report>("GET", "/health");
  const critical = { code: "table-fill", severity: "critical", title: "The table is nearly full", evidence: "97 %", values: {}, consequence: "", remedy: [], see: "docs/health.md" };
  await page.route("**/api/v1/health", (route) => route.fulfill({ json: { ...real, findings: [...real.findings, critical] } }));
  await page.goto(`${daemon.url}/?tab=health`);
  const first = page.locator("[data-finding]").first();
  await first.waitFor();
  expect(await first.getAttribute("data-finding")).toBe("table-fill");
  expect(await page.locator("[data-well]").count()).toBe(0);
  expect(await page.locator("[data-fact=health] strong").innerText()).toBe("1");
  expect(problems(page)).toEqual([]);
});

test("who holds the table leads to those connections", async () => {
  await open("health");
  const sources = page.locator("[data-holders=sources]");
  const link = sources.getByRole("link").first();
  await link.waitFor();
  const source = await link.innerText();
  // Wide tables are not cut.
  for (const table of ["states", "sources", "ports"]) {
    expect(await page.locator(`[data-holders=${table}]`).evaluate((one) => one.scrollWidth <= (one.parentElement?.clientWidth ?? 0) + 1), table).toBe(true);
  }
  await link.click();
  await until(() => inAddress("q") === `src == ${source}` && inAddress("tab") === "");
  await page.locator("[role=row][data-name]").first().waitFor();
  expect(problems(page)).toEqual([]);
});

for (const [tab, path, title] of [
  ["expectations", "**/api/v1/expectations", "The expectations cannot be read."],
  ["statistics", "**/api/v1/statistics", "The statistics cannot be read."],
  ["health", "**/api/v1/health", "The health report cannot be read."],
] as const) {
  test(`${tab} without the privilege say what is missing, and come back`, async () => {
    await open("connections");
    let isBroken = true;
    const body = { code: "permission-denied", message: "the kernel does not let this daemon read it", hint: "it needs CAP_NET_ADMIN" };
    await page.route(path, (route) => (isBroken ? route.fulfill({ status: 503, json: body }) : route.continue()));
    await page.goto(`${daemon.url}/?tab=${tab}`);
    const told = page.locator("main [data-told=failed]");
    await told.getByText(title).waitFor();
    expect(await told.innerText()).toContain("it needs CAP_NET_ADMIN");
    isBroken = false;
    await told.getByRole("button", { name: "Try again" }).click();
    await told.waitFor({ state: "detached" });
    // What fails later leaves what is known on the screen, and says that it is old.
    isBroken = true;
    await page.locator("main").getByText("The latest try failed").first().waitFor();
    expect(problems(page).filter((problem) => !problem.includes("503"))).toEqual([]);
  });
}
