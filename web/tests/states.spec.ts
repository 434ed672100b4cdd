import AxeBuilder from "@axe-core/playwright";
import type { Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { drawer } from "../src/i18n/drawer";
import { query } from "../src/i18n/query";
import { shell } from "../src/i18n/shell";
import { table } from "../src/i18n/table";
import { chart } from "../src/i18n/chart";
import { tabs } from "../src/i18n/tabs";
import { TABS } from "../src/lib/tabs";
import { Daemon, problems, until } from "./daemon";

/** Axe reads every element of every row: on a busy machine that takes its time. */
const AXE = 300_000;

let daemon: Daemon;
let page: Page;
let number = 0;

beforeAll(async () => {
  daemon = await Daemon.start();
});
afterAll(async () => daemon?.stop());
afterEach(() => daemon.leave());

type Options = Parameters<Daemon["signedIn"]>[2];

async function signedIn(role: "operator" | "viewer" = "viewer", options: Options = {}): Promise<string> {
  number += 1;
  page = await daemon.signedIn(`states-${number}`, role, options);
  return `states-${number}`;
}

const inAddress = (name: string): string => new URL(page.url()).searchParams.get(name) ?? "";
const rows = () => page.locator("[role=row][data-name]");
const nothing = (state: string) => page.locator(`.nothing[data-state=${state}]`);

/** What the daemon tells of a table without connections. */
async function emptied(findings: readonly object[]): Promise<void> {
  await page.addInitScript(() => {
    // The stream stays open, as the daemon's does.
    class Quiet extends EventTarget {
      readyState = 1;
      onopen: (() => void) | null = null;
      onerror: (() => void) | null = null;
      constructor() {
        super();
        const truth = { taken_ns: 1, source: "netlink", complete: true, events: true, unheard: 0, events_lost: 0, losses: 0, accounting: true, timestamps: true, offloaded: 0 };
        const sums = { connections: 0, bytes: 0, packets: 0 };
        const summary = { time_ns: Date.now() * 1e6, connections: 0, limit: 1000, births: 0, deaths: 0, protocols: [], states: [], assured: 0, unreplied: 0, nat: 0, truth };
        const say = (name: string, data: object): boolean => this.dispatchEvent(new MessageEvent(name, { data: JSON.stringify(data) }));
        setTimeout(() => {
          this.onopen?.();
          say("summary", summary);
          say("page", { connections: [], totals: sums, truth });
        });
      }
      close(): void {
        this.readyState = 2;
      }
    }
    Object.assign(globalThis, { EventSource: Object.assign(Quiet, { CONNECTING: 0, OPEN: 1, CLOSED: 2 }) });
  });
  await page.route("**/api/v1/health", (route) =>
    route.fulfill({ json: { findings, looked_at: [], unseen: [], usage: null, table: null, over_seconds: null } }),
  );
  await page.goto(daemon.url);
}

test("an empty table says so, and where nothing is tracked, says that", async () => {
  await signedIn();
  await emptied([]);
  await nothing("empty").waitFor();
  await page.context().close();
  await signedIn();
  await emptied([{ code: "not-tracking", severity: "warning", title: "Nothing is tracked", evidence: "no rule", values: {}, consequence: "", remedy: [{ kind: "run", text: "nft add …" }], see: "docs/health.md" }]);
  await nothing("not-tracking").waitFor();
  expect(await nothing("not-tracking").locator("p").first().innerText()).toBe(table["table.notTrackingMore"].en);
  await page.getByRole("button", { name: "See all findings" }).click();
  await page.locator("[data-finding=not-tracking]").waitFor();
  expect(inAddress("tab")).toBe("health");
  expect(problems(page)).toEqual([]);
});

test("a table that cannot be read says why, and is tried again", async () => {
  await signedIn();
  await rows().first().waitFor();
  let isBroken = true;
  const body = { code: "permission-denied", message: "the kernel does not let this daemon read it", hint: "it needs CAP_NET_ADMIN" };
  await page.route("**/api/v1/connections?*", (route) => (isBroken ? route.fulfill({ status: 500, json: body }) : route.continue()));
  await page.getByRole("button", { name: "Freeze" }).click();
  await nothing("failed").waitFor();
  expect(await nothing("failed").innerText()).toContain("the kernel does not let this daemon read it");
  expect(await nothing("failed").innerText()).toContain("it needs CAP_NET_ADMIN");
  isBroken = false;
  await nothing("failed").getByRole("button", { name: "Try again" }).click();
  await rows().first().waitFor();
  expect(problems(page).filter((problem) => !problem.includes("500"))).toEqual([]);
});

test("a session that ends is told over the table, which stays as it was", async () => {
  const name = await signedIn();
  await rows().first().waitFor();
  daemon.revoke(name);
  await page.getByText("You are signed out").first().waitFor();
  expect(await rows().count()).toBeGreaterThan(0);
  expect(await page.getByRole("link", { name: "Sign in" }).getAttribute("href")).toBe("/signin");
  expect(problems(page).filter((problem) => !problem.includes("401"))).toEqual([]);
});

/** The state of the stream is made up; all else is the daemon's. */
async function trusting(change: object): Promise<void> {
  await page.addInitScript((change) => {
    const listen = EventSource.prototype.addEventListener;
    EventSource.prototype.addEventListener = function (this: EventSource, name: string, take: EventListener) {
      listen.call(this, name, (event: Event) => {
        if (name !== "summary") return take(event);
        const summary = JSON.parse((event as MessageEvent<string>).data) as { truth: object };
        take(new MessageEvent(name, { data: JSON.stringify({ ...summary, truth: { ...summary.truth, ...change } }) }));
      });
    } as typeof listen;
  }, change);
  await page.goto(daemon.url);
}

test("every doubt about the numbers has a mark, its words, and the command that mends it", async () => {
  await signedIn();
  await trusting({ complete: false, events: false, unheard: 1234, losses: 2, events_lost: 99, accounting: false, timestamps: false, offloaded: 5 });
  const words: Readonly<Record<string, RegExp>> = {
    incomplete: /until the next whole reading/,
    lost: /2 times.*99 counted/,
    events: /nf_conntrack_events=1/,
    unheard: /Of 1,234 connections no event has told yet/,
    accounting: /nf_conntrack_acct=1/,
    timestamps: /nf_conntrack_timestamp=1/,
    frozen: /5 connections are in a flow table/,
  };
  await page.locator("[data-mark]").first().waitFor();
  expect((await page.locator("[data-mark]").evaluateAll((all) => all.map((one) => one.getAttribute("data-mark")))).sort()).toEqual(Object.keys(words).sort());
  for (const [mark, text] of Object.entries(words)) {
    await page.locator(`[data-mark=${mark}]`).click();
    expect(await page.locator(`[data-more=${mark}]`).innerText()).toMatch(text);
  }
  await page.locator("[data-more]").getByRole("button", { name: "See all findings" }).click();
  expect(inAddress("tab")).toBe("health");
  await page.context().close();
  await signedIn();
  await trusting({ unheard: 0 });
  await page.locator("[data-fact=connections] strong").getByText(/^\d/).waitFor();
  expect(await page.locator("[data-mark]").count()).toBe(0);
  expect(problems(page)).toEqual([]);
});

test("an operator's buttons of deletion are on, a viewer's are off and say why", async () => {
  await signedIn("operator");
  await rows().first().waitFor();
  const all = () => page.getByRole("button", { name: "Delete all that match" });
  const chosen = () => page.getByRole("button", { name: "Delete selected" });
  await until(() => all().isEnabled());
  expect(await chosen().isDisabled()).toBe(true);
  await page.getByRole("button", { name: "Freeze" }).click();
  await rows().first().getByRole("checkbox").click();
  await until(() => chosen().isEnabled());
  await chosen().click();
  await page.getByRole("dialog").locator("[data-table=owners]").waitFor();
  await page.keyboard.press("Escape");
  await page.context().close();
  await signedIn("viewer");
  await rows().first().waitFor();
  await rows().first().getByRole("checkbox").click();
  for (const button of [all(), chosen()]) {
    expect(await button.isDisabled()).toBe(true);
    expect(await button.getAttribute("title")).toContain("operator");
  }
  expect(problems(page)).toEqual([]);
});

test("in Italian no English text is left on any tab", async () => {
  await signedIn("operator", { locale: "it-IT" });
  const texts = Object.values({ ...shell, ...query, ...table, ...chart, ...tabs, ...drawer }) as readonly { en: string; it: string }[];
  const italian = new Set(texts.map(({ it }) => it));
  const english = new Set(texts.map(({ en }) => en).filter((text) => text.length > 2 && !text.includes("{") && !italian.has(text)));
  const row = await daemon.one("tcp and state == ESTABLISHED");
  for (const search of [...TABS.map((tab) => `?tab=${tab}`), "?tab=groups&by=src,provider,dst&shape=flow", `?open=${row.name}`]) {
    await page.goto(`${daemon.url}/${search}`);
    await page.locator("[data-fact=drop] strong").getByText(/^\d/).waitFor();
    await page.locator("[data-told=loading]").first().waitFor({ state: "detached" });
    // What findings say is the daemon's own, and marked as English; codes are of no language.
    const seen = await page.evaluate(() => {
      const all: string[] = [];
      for (const one of document.querySelectorAll<HTMLElement>("body *")) {
        if (one.closest("[lang=en], code") !== null) continue;
        for (const name of ["aria-label", "title", "placeholder"]) all.push(one.getAttribute(name) ?? "");
        for (const node of one.childNodes) if (node.nodeType === Node.TEXT_NODE) all.push(node.textContent ?? "");
      }
      return all.map((text) => text.trim().replace(/[:.]$/, ""));
    });
    expect(seen.length).toBeGreaterThan(50);
    expect(seen.filter((text) => english.has(text) || english.has(`${text}.`)), search).toEqual([]);
  }
  expect(await page.locator("html").getAttribute("lang")).toBe("it");
  expect(problems(page)).toEqual([]);
});

/** Each tab with something in it. */
const FULL = [
  ["connections", "", "[role=row][data-name]"],
  ["groups", "?tab=groups&by=src", "tr[data-group]"],
  ["flow", "?tab=groups&by=src,provider,dst&shape=flow", "a[data-node]"],
  ["events", "?tab=events", "[role=row][data-kind]"],
  ["expectations", "?tab=expectations", "main [data-told]"],
  ["statistics", "?tab=statistics", "tr[data-cpu]"],
  ["health", "?tab=health", "[data-holders=ports] a"],
] as const;

for (const colorScheme of ["light", "dark"] as const) {
  test(`nothing of WCAG AA is broken on any tab with something in it, ${colorScheme}`, async () => {
    await signedIn("operator", { colorScheme, viewport: { width: 1200, height: 800 } });
    const found: string[] = [];
    for (const [name, search, there] of FULL) {
      await page.goto(`${daemon.url}/${search}`);
      await page.locator(there).first().waitFor();
      const tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"];
      const { violations } = await new AxeBuilder({ page }).withTags(tags).analyze();
      found.push(...violations.map(({ id, nodes }) => `${name}: ${id}: ${nodes.map(({ html }) => html.slice(0, 200)).join(" | ")}`));
    }
    expect(found).toEqual([]);
    expect(problems(page)).toEqual([]);
  }, AXE);
}

test("what scrolls is reached by the Tab key, and scrolled by the arrows", async () => {
  await signedIn("viewer", { viewport: { width: 700, height: 620 } });
  for (const [name, search, there] of FULL) {
    await page.goto(`${daemon.url}/${search}`);
    await page.locator(there).first().waitFor();
    const unreached = await page.evaluate(() =>
      [...document.querySelectorAll<HTMLElement>("main, main *")].flatMap((one) => {
        const { overflowX, overflowY } = getComputedStyle(one);
        const scrolls = (overflow: string): boolean => overflow === "auto" || overflow === "scroll";
        const isLarger =
          (scrolls(overflowY) && one.scrollHeight > one.clientHeight + 1) || (scrolls(overflowX) && one.scrollWidth > one.clientWidth + 1);
        // What has something within that takes the focus is moved along with it.
        const isReached = one.tabIndex >= 0 || [...one.querySelectorAll<HTMLElement>("*")].some((within) => within.tabIndex >= 0);
        return isLarger && !isReached ? [one.className] : [];
      }),
    );
    expect(unreached, name).toEqual([]);
  }
  await page.goto(`${daemon.url}/?tab=health`);
  const health = page.getByRole("region", { name: "Health", exact: true });
  await page.locator("[data-fine] li").first().waitFor();
  for (let press = 0; press < 60; press += 1) {
    if (await health.evaluate((one) => one === document.activeElement)) break;
    await page.keyboard.press("Tab");
  }
  expect(await health.evaluate((one) => one === document.activeElement)).toBe(true);
  await page.keyboard.press("End");
  await until(() => health.evaluate((one) => one.scrollTop > 0));
  expect(problems(page)).toEqual([]);
});

test("Tab goes through the table's tools in the order in which they stand", async () => {
  await signedIn("operator");
  await rows().first().waitFor();
  await until(() => page.getByRole("button", { name: "Delete all that match" }).isEnabled());
  await page.getByRole("combobox", { name: "Query", exact: true }).focus();
  const passed: string[] = [];
  for (let press = 0; press < 14; press += 1) {
    await page.keyboard.press("Tab");
    passed.push(
      await page.evaluate(() => {
        const at = document.activeElement as HTMLElement | null;
        return (at?.getAttribute("aria-label") ?? at?.innerText ?? "").trim();
      }),
    );
  }
  const order = ["Saved queries ▾", "Freeze", "Sort by", "Turn the order round", "Columns ▾", "Delete all that match", "Connections"];
  expect([...new Set(passed)].filter((name) => order.includes(name))).toEqual(order.filter((name) => passed.includes(name)));
  expect(passed).toEqual(expect.arrayContaining(["Freeze", "Sort by", "Delete all that match", "Connections"]));
  expect(problems(page)).toEqual([]);
});

test("the keys that ? lists are those of the tab that is open", async () => {
  await signedIn("viewer");
  const listed = async (): Promise<string[]> => {
    await page.keyboard.press("?");
    const help = page.getByRole("dialog", { name: "Keys and queries" });
    await help.waitFor();
    const keys = await help.locator("dt").allInnerTexts();
    await page.keyboard.press("Escape");
    await help.waitFor({ state: "detached" });
    return keys.map((key) => key.trim().toLowerCase());
  };
  await rows().first().waitFor();
  const connections = await listed();
  expect(connections).toEqual(expect.arrayContaining(["?", "1", "j", "k", "x", "/"]));
  await page.keyboard.press("3");
  await page.locator("section.events").waitFor();
  const events = await listed();
  expect(events).not.toContain("j");
  expect(events.some((key) => /space|^␣$/.test(key))).toBe(true);
  // While somebody types, keys are letters.
  await page.getByRole("combobox", { name: "Query", exact: true }).focus();
  await page.keyboard.type("1?");
  expect(inAddress("tab")).toBe("events");
  expect(await page.getByRole("dialog").count()).toBe(0);
  expect(problems(page)).toEqual([]);
});

test("a phone shows the table without being scrolled, and whole times", async () => {
  await signedIn("viewer", { viewport: { width: 390, height: 844 }, locale: "en-US" });
  await rows().first().waitFor();
  const grid = await page.getByRole("grid", { name: "Connections" }).boundingBox();
  expect(844 - (grid?.y ?? 844)).toBeGreaterThan(844 * 0.35);
  await page.goto(`${daemon.url}/?tab=events`);
  const time = page.locator("[role=row][data-kind] .time").first();
  await time.waitFor();
  expect(await time.innerText()).toMatch(/^\d\d:\d\d:\d\d$/);
  expect(await time.evaluate((one) => one.scrollWidth <= one.clientWidth)).toBe(true);
  expect(problems(page)).toEqual([]);
});
