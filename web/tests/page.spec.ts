import { gzipSync } from "node:zlib";
import AxeBuilder from "@axe-core/playwright";
import type { Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { TABS } from "../src/lib/tabs";
import { Daemon, problems, until } from "./daemon";

/** Axe reads every element of every row: on a busy machine that takes its time. */
const AXE = 300_000;
/** What the first load may take, packed. */
const FIRST_LOAD = 150_000;

let daemon: Daemon;

beforeAll(async () => {
  daemon = await Daemon.start();
});
afterAll(async () => daemon?.stop());
afterEach(() => daemon.leave());

const heading = (page: Page) => page.getByRole("heading", { name: "Tracklight" });
const tab = (page: Page, name: string) => page.getByRole("navigation").getByRole("button", { name, exact: true });

test("signing in by the form leads to the page, a wrong token does not", async () => {
  const context = await daemon.context();
  const page = await context.newPage();
  await page.goto(`${daemon.url}/signin`);
  await page.getByLabel("Token").fill("tl_0000");
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByText(/token/i).first().waitFor();
  expect(new URL(page.url()).pathname).toBe("/signin");
  await context.close();
  const own = await daemon.signedIn("form", "operator");
  await heading(own).waitFor();
  await own.getByText("form", { exact: true }).waitFor();
  expect(problems(own)).toEqual([]);
});

test("a link leads to its view also by way of signing in", async () => {
  const context = await daemon.context();
  const page = await context.newPage();
  const search = new URLSearchParams({ q: 'tcp and (src == 10.0.0.2 or state ~ "EST*")', tab: "groups" });
  await page.goto(`${daemon.url}/?${search}`);
  await page.waitForURL((url) => url.pathname === "/signin");
  await page.getByLabel("Token").fill("tl_wrong");
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByText("does not hold").waitFor();
  await page.getByLabel("Token").fill(daemon.token("linked", "viewer"));
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.waitForURL((url) => url.pathname === "/");
  expect(Object.fromEntries(new URL(page.url()).searchParams)).toEqual(Object.fromEntries(search));
  // Nowhere else.
  for (const next of ["//example.org/?x", "https://example.org/?x", "/api/v1/status", '/?"><script>']) {
    await page.goto(`${daemon.url}/signin?${new URLSearchParams({ next })}`);
    expect(await page.locator("[name=next]").getAttribute("value"), next).toBe("/");
  }
});

test("signing out ends the session and shows the form", async () => {
  const page = await daemon.signedIn("leaves", "viewer");
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.waitForURL((url) => url.pathname === "/signin");
  const status = await page.evaluate(async () => (await fetch("/api/v1/session")).status);
  expect(status).toBe(401);
});

test("a token that is revoked while the page is open is told", async () => {
  const page = await daemon.signedIn("revoked", "viewer");
  await tab(page, "Health").click();
  await page.getByText(/^[\d,]+$/).first().waitFor();
  daemon.revoke("revoked");
  await page.getByText("You are signed out").waitFor();
  expect(await page.getByRole("link", { name: "Sign in" }).getAttribute("href")).toBe("/signin?next=%2F%3Ftab%3Dhealth");
  // Answers 401 are what the browser notes.
  expect(problems(page).filter((problem) => !problem.includes("401"))).toEqual([]);
});

test("a viewer sees who they are, and why nothing can be changed", async () => {
  const page = await daemon.signedIn("looks", "viewer");
  expect(await page.getByText("looks", { exact: true }).getAttribute("title")).toContain("may see, not change");
  await page.keyboard.press("?");
  expect(await page.getByRole("dialog").locator("[data-why=viewer]").innerText()).toContain("tracklight token add");
  expect(problems(page)).toEqual([]);
});

test("languages change at once, and are remembered", async () => {
  const page = await daemon.signedIn("speaks", "viewer");
  await page.getByLabel("Language").selectOption("it");
  await tab(page, "Connessioni").waitFor();
  expect(await page.locator("html").getAttribute("lang")).toBe("it");
  await page.reload();
  await tab(page, "Salute").waitFor();
  await page.keyboard.press("?");
  await page.getByRole("dialog", { name: "Tasti e ricerche" }).waitFor();
  expect(problems(page)).toEqual([]);
});

test("the browser's language is the first", async () => {
  const page = await daemon.signedIn("nativa", "viewer", { locale: "it-IT" });
  const before = await (await page.context().newPage()).goto(`${daemon.url}/signin`);
  expect(await before?.text()).toContain("<button>Accedi</button>");
  await tab(page, "Eventi").waitFor();
  expect(problems(page)).toEqual([]);
});

test("themes: as the system, or as chosen, and remembered", async () => {
  const page = await daemon.signedIn("paints", "viewer", { colorScheme: "dark" });
  const ground = (): Promise<string> => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const dark = await ground();
  await page.getByLabel("Light or dark").selectOption("light");
  const light = await ground();
  expect(light).not.toBe(dark);
  await page.reload();
  await heading(page).waitFor();
  expect(await ground()).toBe(light);
  expect(problems(page)).toEqual([]);
});

for (const colorScheme of ["light", "dark"] as const) {
  test(`axe finds nothing serious on any tab, ${colorScheme}`, async () => {
    const page = await daemon.signedIn(`axe-${colorScheme}`, "operator", { colorScheme });
    for (const name of TABS) {
      await page.goto(`${daemon.url}/?tab=${name}`);
      await page.locator(`main`).waitFor();
      await page.locator("[data-fact=drop] strong").getByText(/^\d/).waitFor();
      await accessible(page, name);
    }
    expect(problems(page)).toEqual([]);
  }, AXE);

  test(`axe finds nothing serious in the panel, help and dialogs, ${colorScheme}`, async () => {
    const page = await daemon.signedIn(`axe-more-${colorScheme}`, "operator", { colorScheme });
    const open = await page.evaluate(async () => {
      const answer = await fetch("/api/v1/connections?limit=1&query=tcp+and+state+==+ESTABLISHED");
      return ((await answer.json()) as { connections: { name: string }[] }).connections[0]?.name ?? "";
    });
    await page.goto(`${daemon.url}/?open=${open}`);
    await page.locator("[data-fact=mark-parts], [data-fact=mark]").first().waitFor();
    await accessible(page, "panel");
    await page.getByRole("button", { name: "Delete …" }).click();
    await page.locator("[data-table=owners]").waitFor();
    await accessible(page, "deletion");
    await page.keyboard.press("Escape");
    await page.getByRole("dialog").waitFor({ state: "detached" });
    await page.keyboard.press("?");
    await page.getByRole("dialog").waitFor();
    await accessible(page, "help");
    await page.getByRole("button", { name: "Empty the whole table …" }).click();
    await page.getByRole("dialog", { name: "Empty the table" }).waitFor();
    await accessible(page, "flush");
    expect(problems(page)).toEqual([]);
  }, AXE);
}

async function accessible(page: Page, where: string): Promise<void> {
  const { violations } = await new AxeBuilder({ page }).analyze();
  const serious = violations.filter(({ impact }) => impact === "serious" || impact === "critical");
  const told = serious.map(({ id, nodes }) => `${where}: ${id}: ${nodes.map(({ html }) => html).join(" | ")}`);
  expect(told).toEqual([]);
}

test("everything of the frame is reached and used by keys alone", async () => {
  const page = await daemon.signedIn("keys", "operator");
  const focused = (): Promise<string> =>
    page.evaluate(() => {
      const at = document.activeElement;
      return at instanceof HTMLElement ? (at.getAttribute("aria-label") ?? at.innerText ?? at.tagName) : "";
    });
  await heading(page).waitFor();
  await page.keyboard.press("Tab");
  expect(await focused()).toBe("Skip to the content");
  for (const name of ["Connections", "Groups", "Events", "Expectations", "Statistics", "Health"]) {
    await page.keyboard.press("Tab");
    expect((await focused()).trim()).toBe(name);
  }
  await page.keyboard.press("Enter");
  await expect.poll(() => new URL(page.url()).searchParams.get("tab")).toBe("health");
  // Every key of the list of keys for a tab leads to it.
  for (const [place, name] of TABS.entries()) {
    await page.keyboard.press(String(place + 1));
    await expect.poll(() => new URL(page.url()).searchParams.get("tab") ?? "connections").toBe(name);
  }
  const before = await focused();
  await page.keyboard.press("?");
  const help = page.getByRole("dialog", { name: "Keys and queries" });
  await help.waitFor();
  expect(await help.locator("dt").allInnerTexts()).toEqual(expect.arrayContaining(["?", "1", "6", "Esc"]));
  await page.keyboard.press("Escape");
  await help.waitFor({ state: "detached" });
  expect(await focused()).toBe(before);
  expect(problems(page)).toEqual([]);
});

test("a query of the help goes into the query line, and back goes back", async () => {
  const page = await daemon.signedIn("learns", "viewer");
  await tab(page, "Health").click();
  await page.keyboard.press("?");
  await page.getByRole("dialog").getByRole("button", { name: "unreplied" }).click();
  await expect.poll(() => new URL(page.url()).searchParams.get("q")).toBe("unreplied");
  await tab(page, "Connections").and(page.locator("[aria-current=page]")).waitFor();
  await page.goBack();
  await tab(page, "Health").and(page.locator("[aria-current=page]")).waitFor();
  expect(problems(page)).toEqual([]);
});

test("a phone has no page that scrolls sideways", async () => {
  const page = await daemon.signedIn("phone", "operator", { viewport: { width: 390, height: 780 } });
  for (const name of TABS) {
    await page.goto(`${daemon.url}/?tab=${name}`);
    await page.locator("[data-fact=drop] strong").getByText(/^\d/).waitFor();
    expect(await page.evaluate(() => document.documentElement.scrollWidth), name).toBeLessThanOrEqual(390);
  }
  expect(problems(page)).toEqual([]);
});

test("the address is the view: another browser shows the same", async () => {
  const page = await daemon.signedIn("first", "viewer");
  await page.goto(`${daemon.url}/?tab=health`);
  await tab(page, "Events").click();
  const address = page.url();
  expect(new URL(address).search).toBe("?tab=events");
  const other = await daemon.signedIn("second", "viewer");
  await other.goto(address);
  await tab(other, "Events").and(other.locator("[aria-current=page]")).waitFor();
  expect([...problems(page), ...problems(other)]).toEqual([]);
});

test("the first load is small, and nothing is asked of other origins", async () => {
  const page = await daemon.signedIn("weighs", "viewer");
  // Signing in has shown the page once, and may still be loading it.
  await page.goto("about:blank");
  const tools = await page.context().newCDPSession(page);
  await tools.send("Network.clearBrowserCache");
  const sizes: Promise<number>[] = [];
  const origins = new Set<string>();
  page.on("response", (response) => {
    const url = new URL(response.url());
    origins.add(url.origin);
    // Data moves on for as long as the page is open: this is about the page itself.
    if (url.pathname.startsWith("/api/")) return;
    sizes.push(
      (async () => {
        const sent = response.headers()["content-encoding"] !== undefined;
        return sent ? (await response.request().sizes()).responseBodySize : gzipSync(await response.body()).length;
      })(),
    );
  });
  await page.goto(`${daemon.url}/`, { waitUntil: "load" });
  await page.locator("[data-fact=drop] strong").getByText(/^\d/).waitFor();
  const total = (await Promise.all(sizes)).reduce((all, size) => all + size, 0);
  expect(total).toBeGreaterThan(10_000);
  expect(total).toBeLessThanOrEqual(FIRST_LOAD);
  expect([...origins]).toEqual([daemon.url]);
  expect(problems(page)).toEqual([]);
});

test("a daemon that is gone is told, and the page comes back by itself", async () => {
  const page = await daemon.signedIn("waits", "operator");
  await page.locator("[data-fact=connections] strong").getByText(/^\d/).waitFor();
  const deleteAll = page.getByRole("button", { name: "Delete all that match" });
  await until(() => deleteAll.isEnabled());
  const rows = page.locator("[role=row][data-name]");
  await rows.first().waitFor();
  await rows.first().locator("[data-open]").click();
  await page.locator("[data-fact=story]").waitFor();
  await page.keyboard.press("Escape");
  const before = await page.locator(".strip").boundingBox();
  await daemon.gone();
  await page.getByText("The daemon does not answer", { exact: true }).waitFor();
  expect(await page.locator(".strip").boundingBox()).toEqual(before);
  // What was known is not passed off for the present.
  await page.locator("[data-fact=health]").getByText("not known").waitFor();
  expect(await deleteAll.isDisabled()).toBe(true);
  expect(await deleteAll.getAttribute("title")).toMatch(/cannot be asked now/);
  await rows.first().locator("[data-open]").click();
  await page.getByText("so nothing is known of it").waitFor();
  await tab(page, "Health").click();
  await page.getByText("The latest try failed").waitFor();
  expect(await page.locator("[data-well]").count()).toBe(0);
  await daemon.back();
  await page.getByText("The daemon does not answer", { exact: true }).waitFor({ state: "detached" });
  // Who was signed in is so still.
  await page.locator("[data-fact=health]").getByText("not known").waitFor({ state: "detached" });
  expect(await page.getByText("You are signed out").count()).toBe(0);
  expect(problems(page).filter((problem) => !/ERR_CONNECTION|ERR_INCOMPLETE|ERR_EMPTY|404|50\d/.test(problem))).toEqual([]);
});

test("a page that nobody sees lets its stream go, and goes on when somebody does", async () => {
  const page = await daemon.signedIn("unseen", "viewer");
  await heading(page).waitFor();
  await page.clock.install();
  const stream = /\/api\/v1\/live\?/;
  const begun = page.waitForResponse((response) => stream.test(response.url()));
  await page.goto(daemon.url);
  await begun;
  const beSeen = (isSeen: boolean): Promise<void> =>
    page.evaluate((isHidden) => {
      Object.defineProperty(document, "hidden", { value: isHidden, configurable: true });
      document.dispatchEvent(new Event("visibilitychange"));
    }, !isSeen);
  const over = page.waitForEvent("requestfailed", { predicate: (request) => stream.test(request.url()) });
  await beSeen(false);
  await page.clock.fastForward(21_000);
  await over;
  const again = page.waitForResponse((response) => stream.test(response.url()));
  await beSeen(true);
  expect((await again).status()).toBe(200);
});
