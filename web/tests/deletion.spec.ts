import type { Locator, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { Daemon, problems, type Row } from "./daemon";

let daemon: Daemon;

beforeAll(async () => {
  daemon = await Daemon.start();
});
afterAll(async () => daemon?.stop());
afterEach(() => daemon.leave());

/** The dialog for a connection, by way of its panel. */
async function asked(page: Page, row: Row): Promise<Locator> {
  await page.goto(`${daemon.url}/?open=${row.name}`);
  await page.getByRole("button", { name: "Delete …" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.locator("[data-table=owners]").waitFor();
  return dialog;
}

const ESTABLISHED = "tcp and state == ESTABLISHED and snat and timeout > 1h";

test("one is shown first, deleted by a yes, and put back", async () => {
  const page = await daemon.signedIn("one", "operator");
  const row = await daemon.one(ESTABLISHED);
  const dialog = await asked(page, row);
  expect(await dialog.locator("[data-fact=matched]").innerText()).toContain("One connection would be deleted.");
  expect(await dialog.locator("[data-table=owners] tbody tr").innerText()).toContain(row.orig.src);
  expect((await daemon.rows(ESTABLISHED)).map(({ name }) => name)).toContain(row.name);
  await dialog.getByRole("button", { name: "Delete 1" }).click();
  await dialog.locator("[data-counts=deleted]").waitFor();
  expect(await dialog.locator("[data-count=done] dd").innerText()).toBe("1");
  // The table hears of it by an event.
  await expect.poll(async () => (await daemon.rows("tcp")).map(({ name }) => name)).not.toContain(row.name);
  await dialog.getByRole("button", { name: /^Undo \(/ }).click();
  await dialog.locator("[data-counts=undone]").waitFor();
  const counts = await dialog.locator("[data-counts=undone]").innerText();
  // A packet may have entered it anew already.
  expect(counts).toMatch(/1\s+put back|1\s+were there again already/);
  expect(problems(page).filter((problem) => !problem.includes("404"))).toEqual([]);
});

test("closed after a deletion, a message has the way back", async () => {
  const page = await daemon.signedIn("message", "operator");
  const dialog = await asked(page, await daemon.one(ESTABLISHED));
  await dialog.getByRole("button", { name: "Delete 1" }).click();
  await dialog.locator("[data-counts=deleted]").waitFor();
  await page.keyboard.press("Escape");
  await dialog.waitFor({ state: "detached" });
  const messages = page.getByRole("status", { name: "Messages" });
  expect(await messages.innerText()).toContain("Deleted: 1 of 1");
  await messages.getByRole("button", { name: "Undo" }).click();
  await messages.getByText(/Put back: \d of 1/).waitFor();
  expect(problems(page).filter((problem) => !problem.includes("404"))).toEqual([]);
});

test("cancelled, nothing is deleted, the daemon forgets it, and the focus returns", async () => {
  const page = await daemon.signedIn("cancels", "operator");
  const row = await daemon.one(ESTABLISHED);
  const forgotten = page.waitForResponse((answer) => answer.request().method() === "DELETE" && answer.url().includes("/deletions/"));
  const dialog = await asked(page, row);
  // Keys of the page behind do not answer in the dialog.
  await page.keyboard.press("3");
  expect(new URL(page.url()).searchParams.has("tab")).toBe(false);
  await page.keyboard.press("Escape");
  await dialog.waitFor({ state: "detached" });
  expect((await forgotten).status()).toBe(204);
  expect((await daemon.rows("tcp")).map(({ name }) => name)).toContain(row.name);
  await page.getByRole("complementary", { name: "Connection" }).waitFor();
  expect(await page.getByRole("button", { name: "Delete …" }).evaluate((button) => button === document.activeElement)).toBe(true);
  expect(problems(page)).toEqual([]);
});

test("one that ended meanwhile is counted as gone", async () => {
  const page = await daemon.signedIn("gone", "operator");
  const row = await daemon.one(ESTABLISHED);
  const dialog = await asked(page, row);
  await daemon.ask(daemon.operator, "DELETE", `/connections/${row.name}`);
  await dialog.getByRole("button", { name: "Delete 1" }).click();
  await dialog.locator("[data-counts=deleted]").waitFor();
  expect(await dialog.locator("[data-count=done] dd").innerText()).toBe("0");
  expect(await dialog.locator("[data-count=gone] dd").innerText()).toBe("1");
  expect(await dialog.getByRole("button", { name: /^Undo/ }).count()).toBe(0);
  expect(problems(page).filter((problem) => !problem.includes("404"))).toEqual([]);
});

test("Italian: the same dialog, and its numbers", async () => {
  const page = await daemon.signedIn("italian", "operator", { locale: "it-IT" });
  await page.goto(`${daemon.url}/?open=${(await daemon.one(ESTABLISHED)).name}`);
  await page.getByRole("button", { name: "Elimina …" }).click();
  const dialog = page.getByRole("dialog", { name: "Elimina connessioni" });
  await dialog.getByText("Verrebbe eliminata una connessione.").waitFor();
  await dialog.getByRole("button", { name: "Annulla" }).click();
  expect(problems(page)).toEqual([]);
});

async function flushDialog(page: Page): Promise<Locator> {
  await page.keyboard.press("?");
  await page.getByRole("button", { name: "Empty the whole table …" }).click();
  const dialog = page.getByRole("dialog", { name: "Empty the table" });
  await expect.poll(async () => Number((await dialog.locator("[data-fact=present]").innerText()).replace(/\D/g, ""))).toBeGreaterThan(0);
  return dialog;
}

test("emptying wants the present count, says when it differs, and tells what is left", async () => {
  const page = await daemon.signedIn("empties", "operator");
  const dialog = await flushDialog(page);
  const button = dialog.getByRole("button", { name: "Empty it" });
  expect(await button.isDisabled()).toBe(true);
  await dialog.getByRole("textbox").fill("no number");
  expect(await button.isDisabled()).toBe(true);
  await dialog.getByRole("textbox").fill("3");
  await button.click();
  const differs = dialog.locator("[data-code=count-differs]");
  await differs.waitFor();
  const present = (await differs.innerText()).match(/There are ([\d,]+) connections now/)?.[1] ?? "";
  expect(Number(present.replace(/\D/g, ""))).toBeGreaterThan(3);
  await dialog.getByRole("textbox").fill(present);
  await button.click();
  await dialog.locator("[data-fact=flushed]").waitFor();
  expect(await dialog.locator("[data-fact=flushed]").innerText()).toMatch(/There were [\d,]+ connections; [\d,]+ are in the table now\./);
  expect(problems(page).filter((problem) => !problem.includes("409"))).toEqual([]);
});

test("a viewer sees why the table cannot be emptied", async () => {
  const page = await daemon.signedIn("viewer", "viewer");
  await page.keyboard.press("?");
  const dialog = page.getByRole("dialog", { name: "Keys and queries" });
  expect(await dialog.getByRole("button", { name: "Empty the whole table …" }).isDisabled()).toBe(true);
  expect(await dialog.locator("[data-why=viewer]").innerText()).toContain("viewer");
  expect(problems(page)).toEqual([]);
});
