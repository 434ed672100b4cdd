import type { Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { Daemon, problems, type Row } from "./daemon";

let daemon: Daemon;

beforeAll(async () => {
  daemon = await Daemon.start();
});
afterAll(async () => daemon?.stop());
afterEach(() => daemon.leave());

async function opened(page: Page, row: Row): Promise<void> {
  await page.goto(`${daemon.url}/?open=${row.name}`);
  await page.locator("[data-part=facts]").waitFor();
}

const text = (page: Page, selector: string): Promise<string> => page.locator(selector).innerText();

test("a connection with a translated source is told in words and drawn", async () => {
  const page = await daemon.signedIn("words", "viewer");
  const row = await daemon.one("snat and tcp and state == ESTABLISHED and provider == 1");
  await opened(page, row);
  const story = await text(page, "[data-fact=story]");
  expect(story).toContain(`${row.orig.src}:${row.orig.sport} opened this TCP connection`);
  expect(story).toContain(`the other end sees ${row.reply.dst}`);
  expect(story).toContain("Its packets leave by wan0 through the router");
  expect(story).toContain("Its mark says uplink 1");
  expect(await text(page, "[data-fact=meaning]")).toBe("ESTABLISHED: both ends have agreed, and data can flow.");
  const picture = page.locator("section", { hasText: "The way of its packets" }).locator("svg");
  expect(await picture.getAttribute("aria-label")).toContain("This machine translates the source");
  expect(await picture.textContent()).toContain(`source → ${row.reply.dst}`);
  expect(problems(page)).toEqual([]);
});

test("a forwarded port shows the true other end, and IPv6 is in brackets", async () => {
  const page = await daemon.signedIn("ends", "viewer");
  const forwarded = await daemon.one("dnat and tcp and state == ESTABLISHED");
  await opened(page, forwarded);
  expect(await text(page, "[data-fact=story]")).toContain(`in truth ${forwarded.reply.src}:443 answers`);
  const six = await daemon.one("ipv6 and tcp and state == ESTABLISHED");
  await opened(page, six);
  expect(await text(page, "[data-fact=orig]")).toContain(`[${six.orig.src}]:${six.orig.sport} → [${six.orig.dst}]:${six.orig.dport}`);
  expect(await text(page, "[data-fact=story]")).toContain("Nothing is translated");
  expect(problems(page)).toEqual([]);
});

test("the mark is explained by its bits, the timeout by its setting, status bits in words", async () => {
  const page = await daemon.signedIn("facts", "viewer");
  await opened(page, await daemon.one("tcp and dport == 80 and state == ESTABLISHED"));
  await page.locator("[data-fact=mark-parts]").waitFor();
  const mark = await text(page, "[data-fact=mark]");
  expect(mark).toContain("0x10702");
  expect(mark).toContain("Uplink (bits 16–31)");
  expect(mark).toContain("Application (bits 8–15): HTTP (7)");
  expect(mark).toContain("Class (bits 0–7): medium (2)");
  expect(await text(page, "[data-fact=timeout]")).toContain("nf_conntrack_tcp_timeout_established");
  expect(await text(page, "[data-fact=status]")).toContain("ASSURED a full table does not give it up early");
  expect(await text(page, "[data-fact=routes]")).toContain("lan0");
  await page.getByText("Raw fields (JSON)").click();
  expect(await text(page, "pre")).toContain('"state_meaning"');
  expect(problems(page)).toEqual([]);
});

test("the chart grows while it is open, and counters are those of the kernel", async () => {
  const page = await daemon.signedIn("chart", "viewer");
  await opened(page, await daemon.one("icmp and not unreplied"));
  const chart = page.locator("[data-part=traffic] svg");
  await expect.poll(async () => Number(await chart.getAttribute("data-samples"))).toBeGreaterThan(2);
  expect(await chart.getAttribute("aria-label")).toMatch(/Traffic of the last two minutes/);
  const packets = page.locator("[data-direction=up] td").last();
  const before = Number((await packets.innerText()).replace(/\D/g, ""));
  await expect.poll(async () => Number((await packets.innerText()).replace(/\D/g, ""))).toBeGreaterThan(before);
  expect(problems(page)).toEqual([]);
});

test("it is copied as query, as commands and as JSON", async () => {
  const page = await daemon.signedIn("copies", "viewer", { permissions: ["clipboard-read", "clipboard-write"] });
  const row = await daemon.one("ipv6 and tcp and state == ESTABLISHED");
  const { src, dst, sport, dport } = row.orig;
  await opened(page, row);
  const copied = async (button: string): Promise<string> => {
    await page.getByRole("button", { name: button }).click();
    await page.getByText("Copied").last().waitFor();
    return page.evaluate(() => navigator.clipboard.readText());
  };
  const query = await copied("Copy as query");
  expect(query).toBe(`proto == tcp and src == ${src} and sport == ${sport} and dst == ${dst} and dport == ${dport}`);
  expect((await daemon.one(query)).name).toBe(row.name);
  expect(await copied("Copy conntrack -L")).toBe(`conntrack -L -f ipv6 -p tcp -s ${src} -d ${dst} --sport ${sport} --dport ${dport}`);
  expect(await copied("Copy conntrack -D")).toContain("conntrack -D -f ipv6 -p tcp");
  expect((JSON.parse(await copied("Copy as JSON")) as Row).name).toBe(row.name);
  expect(problems(page)).toEqual([]);
});

test("an operator changes mark and timeout, and the history tells it", async () => {
  const page = await daemon.signedIn("changes", "operator");
  await opened(page, await daemon.one("tcp and state == ESTABLISHED and dport == 22 and age > 2s"));
  await page.getByText("Change", { exact: true }).click();
  const apply = page.getByRole("button", { name: "Apply" });
  expect(await apply.isDisabled()).toBe(true);
  await page.getByLabel("Mark (decimal").fill("0xfffffffff");
  await page.getByText("A number from 0 to 4294967295").waitFor();
  await page.getByLabel("Mark (decimal").fill("0x2");
  await page.getByLabel("Only these bits").fill("0xff");
  await page.getByLabel("Timeout in seconds").fill("77777");
  await apply.click();
  await page.getByText("Changed", { exact: true }).waitFor();
  expect(await text(page, "[data-fact=mark]")).toContain("Class (bits 0–7): medium (2)");
  await page.locator("[data-part=history] li[data-kind=mark]").first().waitFor();
  expect(problems(page)).toEqual([]);
});

test("a viewer sees why it is not changed or deleted", async () => {
  const page = await daemon.signedIn("sees", "viewer");
  await opened(page, await daemon.one("tcp and state == ESTABLISHED"));
  expect(await page.getByRole("button", { name: "Delete …" }).isDisabled()).toBe(true);
  expect(await page.locator("#drawer-why-not").innerText()).toContain("--role operator");
  expect(problems(page)).toEqual([]);
});

test("when it ends, that is told, and the last that was known stays", async () => {
  const page = await daemon.signedIn("ends-seen", "viewer");
  const row = await daemon.one("tcp and state == ESTABLISHED and dnat");
  await opened(page, row);
  await daemon.ask(daemon.operator, "DELETE", `/connections/${row.name}`);
  // The time is told by the event; a look may be quicker, and knows only that it is gone.
  await page.getByText(/This connection (ended at \d|has ended)/).waitFor();
  expect(await text(page, "[data-fact=orig]")).toContain(row.orig.src);
  expect(await page.getByRole("button", { name: "Delete …" }).isDisabled()).toBe(true);
  // Where the look was quicker than the event, the browser notes the answer 404.
  expect(problems(page).filter((problem) => !problem.includes("404"))).toEqual([]);
});

test("a link to one that is not there says so", async () => {
  const page = await daemon.signedIn("never", "viewer");
  await page.goto(`${daemon.url}/?open=00000001-00000001`);
  await page.getByText("No such connection is in the table").waitFor();
  expect(problems(page)).toEqual(["Failed to load resource: the server responded with a status of 404 (Not Found)"]);
});

test("it stands beside the table on wide screens, fills a phone, and Escape closes it", async () => {
  const page = await daemon.signedIn("sides", "viewer");
  await opened(page, await daemon.one("tcp and state == ESTABLISHED"));
  const drawer = page.getByRole("complementary", { name: "Connection" });
  const left = (await drawer.boundingBox())?.x ?? 0;
  const main = await page.locator("main").boundingBox();
  expect((main?.x ?? 0) + (main?.width ?? 0)).toBeLessThanOrEqual(left);
  await page.setViewportSize({ width: 390, height: 800 });
  await expect.poll(async () => (await drawer.boundingBox())?.width).toBe(390);
  expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(390);
  await page.keyboard.press("Escape");
  await drawer.waitFor({ state: "detached" });
  expect(new URL(page.url()).searchParams.has("open")).toBe(false);
  await page.goBack();
  await drawer.waitFor();
  expect(problems(page)).toEqual([]);
});
