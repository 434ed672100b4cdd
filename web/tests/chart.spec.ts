import type { Page, Route } from "playwright-core";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { Daemon, problems, until } from "./daemon";

let daemon: Daemon;
let page: Page;
let number = 0;

/** What this machine's kernel allows. */
let limit: number;

beforeAll(async () => {
  daemon = await Daemon.start();
  ({ limit } = (await daemon.ask(daemon.operator, "GET", "/summary")) as { limit: number });
});
afterAll(async () => daemon?.stop());
afterEach(() => daemon.leave());

const count = (number: number): string => number.toLocaleString("en-GB");

interface Made {
  connections: number;
  protocols?: Record<string, number>;
  births?: number;
  deaths?: number;
  bytes?: number;
  drop?: number;
}

/** When the scenario began, in seconds: made-up history lies before it. */
let began = 0;

/** Answers for the recorded history with what a scenario makes of each time; nothing is a gap. */
async function recorded(make: (before: number) => Made | undefined): Promise<void> {
  began = Math.floor(Date.now() / 1000);
  await page.route("**/api/v1/history?*", (route: Route) => {
    const asked = new URL(route.request().url()).searchParams;
    const to = Number(asked.get("to") ?? began);
    const from = Number(asked.get("from") ?? to - Number(asked.get("last")));
    const step = Number(asked.get("step") ?? Math.max(1, Math.ceil((to - from) / Number(asked.get("points")))));
    const points: object[] = [];
    for (let time = Math.floor(from / step) * step; time < Math.min(to, began); time += step) {
      const made = make(began - time);
      if (made === undefined) continue;
      const amount = (sum: number | undefined) => (sum === undefined ? undefined : { sum: sum * step, per_second: sum });
      points.push({
        time,
        known_seconds: step,
        connections: { mean: made.connections, min: made.connections, max: made.connections },
        limit,
        protocols: { tcp: 0, udp: 0, icmp: 0, icmpv6: 0, sctp: 0, gre: 0, other: 0, ...made.protocols },
        births: amount(made.births),
        deaths: amount(made.deaths),
        bytes: amount(made.bytes),
        kernel: made.drop === undefined ? {} : { drop: { sum: made.drop, per_second: made.drop / step } },
      });
    }
    return route.fulfill({ json: { from, to, step, rows: "seconds", unreadable: 0, points } });
  });
}

async function signedIn(): Promise<void> {
  number += 1;
  page = await daemon.signedIn(`chart-${number}`, "viewer");
}

async function open(search = ""): Promise<void> {
  await page.goto(`${daemon.url}/${search}`);
  await page.locator("[data-drawn]").waitFor();
}

const plot = () => page.getByRole("slider", { name: "The table over time" });
const tip = () => page.locator("[data-tip]");
const range = (name: string) => page.getByRole("group", { name: "Time shown" }).getByRole("button", { name, exact: true });
const inAddress = (name: string): string => new URL(page.url()).searchParams.get(name) ?? "";
const places = async (): Promise<number> => Number(await plot().getAttribute("aria-valuemax"));

/** The field of the curves, on the screen: without the axes. */
async function field(): Promise<{ x: number; y: number; width: number; height: number }> {
  const box = await page.locator("[data-drawn] .u-over").boundingBox();
  if (box === null) throw new Error("there is no chart");
  return box;
}

async function hover(part: number): Promise<void> {
  const { x, y, width, height } = await field();
  await page.mouse.move(x + part * width, y + height / 2);
}

async function drag(from: number, to: number): Promise<void> {
  const { x, width } = await field();
  await hover(from);
  await page.mouse.down();
  await page.mouse.move(x + to * width, (await field()).y + 20, { steps: 6 });
  await page.mouse.up();
}

/** How many points of a colour are drawn between two parts of the width; the field alone, without axes. */
function painted(name: string, from = 0, to = 1): Promise<number> {
  return page.evaluate(
    ([name, from, to]) => {
      const canvas = document.querySelector<HTMLCanvasElement>("[data-drawn] canvas");
      const over = document.querySelector("[data-drawn] .u-over");
      const context = canvas?.getContext("2d");
      if (!canvas || !over || !context) return -1;
      const probe = over.appendChild(document.createElement("i"));
      probe.style.color = `var(--${name})`;
      const [red = 0, green = 0, blue = 0] = (getComputedStyle(probe).color.match(/\d+/g) ?? []).map(Number);
      probe.remove();
      const scale = canvas.width / canvas.getBoundingClientRect().width;
      const within = over.getBoundingClientRect();
      const left = (within.left - canvas.getBoundingClientRect().left + from * within.width) * scale;
      const { data } = context.getImageData(left, 0, Math.max(1, (to - from) * within.width * scale), (within.height + 10) * scale);
      let many = 0;
      for (let at = 0; at < data.length; at += 4) {
        const isNear = [red, green, blue].every((value, place) => Math.abs(value - (data[at + place] ?? 0)) < 24);
        if (isNear && (data[at + 3] ?? 0) > 200) many += 1;
      }
      return many;
    },
    [name, from, to] as const,
  );
}

test("each range shows its own time, from 15 minutes to a year", async () => {
  await signedIn();
  await recorded(() => ({ connections: 100, births: 1, deaths: 1 }));
  await open();
  const ranges = [["15 min", 900], ["1 h", 3600], ["6 h", 21_600], ["1 day", 86_400], ["1 week", 604_800], ["30 days", 2_592_000], ["1 year", 31_536_000]] as const;
  for (const [name, seconds] of ranges) {
    const answered = page.waitForResponse((answer) => answer.url().includes(`last=${seconds}&`));
    await range(name).click();
    await answered;
    await until(async () => (await range(name).getAttribute("aria-pressed")) === "true");
    expect(await page.locator("[aria-pressed=true]", { hasText: /min|h$|day|week|year/ }).count()).toBe(1);
    // The first point stands at the left edge: the axis spans all of the range.
    await until(async () => {
      await hover(0.5);
      await hover(0.001);
      return Number(await plot().getAttribute("aria-valuenow")) <= 2 && (await places()) > 400;
    });
    // A point is hours long, where the range is.
    const days = [-1, 0, 1].map((steps) => new Date((began - seconds + (steps * seconds) / 500) * 1000));
    const texts = days.map((day) => day.toLocaleDateString("en", { day: "numeric", month: "short", year: "numeric" }));
    const when = await tip().locator(".when").innerText();
    if (seconds >= 604_800) expect(texts.some((text) => when.startsWith(text)), when).toBe(true);
  }
  expect(inAddress("range")).toBe("31536000");
  await page.reload();
  await until(async () => (await range("1 year").getAttribute("aria-pressed")) === "true");
  expect(problems(page)).toEqual([]);
});

test("the right edge is the present: it grows while one looks", async () => {
  await signedIn();
  await open("?range=900");
  const before = await places();
  await until(async () => (await places()) >= before + 3);
  // What it says is what the daemon recorded.
  await plot().focus();
  await page.keyboard.press("End");
  await tip().waitFor();
  const spoken = (await plot().getAttribute("aria-valuetext")) ?? "";
  const { points } = (await daemon.ask(daemon.operator, "GET", "/history?last=900&points=1000")) as {
    points: { time: number; connections: { mean: number } }[];
  };
  const told = points.map(({ time, connections }) => {
    return `${new Date(time * 1000).toLocaleString("en")}: ${connections.mean.toLocaleString("en")} connections`;
  });
  expect(told.some((text) => spoken.startsWith(text)), spoken).toBe(true);
  expect(await page.locator("[data-sentence]").innerText()).toMatch(/now [\d,]+, least [\d,]+, most [\d,]+/);
  expect(problems(page)).toEqual([]);
});

test("dragging zooms to just that time, and there is a way back", async () => {
  await signedIn();
  await recorded(() => ({ connections: 100 }));
  await open("?range=3600");
  await drag(0.25, 0.5);
  await until(() => inAddress("from") !== "");
  const [from, end] = [Number(inAddress("from")), Number(inAddress("until"))];
  // A pixel is several seconds.
  expect(Math.abs(from - (began - 2700))).toBeLessThan(30);
  expect(Math.abs(end - (began - 1800))).toBeLessThan(30);
  await until(async () => (await range("1 h").getAttribute("aria-pressed")) === "false");
  await until(async () => (await page.locator("[data-sentence]").innerText()).includes("at the end"));
  await page.getByRole("button", { name: "Back to the present" }).click();
  await until(async () => inAddress("from") === "" && (await range("1 h").getAttribute("aria-pressed")) === "true");
  // The browser's own way back goes through the same steps.
  await page.goBack();
  await until(() => Number(inAddress("from")) === from);
  await page.goBack();
  await until(() => inAddress("from") === "");
  expect(problems(page)).toEqual([]);
});

test("a link to a time that is over shows that time", async () => {
  await signedIn();
  await recorded((before) => (before > 7000 ? { connections: 4321 } : { connections: 5 }));
  const now = Math.floor(Date.now() / 1000);
  await open(`?from=${now - 9000}&until=${now - 8000}`);
  await until(async () => (await page.locator("[data-sentence]").innerText()).includes("at the end 4,321, least 4,321, most 4,321"));
  expect(problems(page)).toEqual([]);
});

test("buttons move through time, and in and out", async () => {
  await signedIn();
  await recorded(() => ({ connections: 100 }));
  await open("?range=3600");
  const span = (): [number, number] => [Number(inAddress("from")), Number(inAddress("until"))];
  expect(await page.getByRole("button", { name: "Later" }).isDisabled()).toBe(true);
  await page.getByRole("button", { name: "Earlier" }).click();
  await until(() => span()[1] > 0);
  const [from, end] = span();
  expect(end - from).toBe(3600);
  expect(Math.abs(end - (began - 1800))).toBeLessThan(30);
  const shown = async (button: string): Promise<void> => {
    const answered = page.waitForResponse((answer) => answer.url().includes("/history?"));
    await page.getByRole("button", { name: button, exact: true }).click();
    await answered;
    await until(() => page.getByRole("button", { name: "Earlier" }).isEnabled());
  };
  await shown("Zoom in");
  expect(span()).toEqual([from + 900, end - 900]);
  await shown("Zoom out");
  expect(span()).toEqual([from, end]);
  await shown("Later");
  await until(() => inAddress("from") === "");
  expect(problems(page)).toEqual([]);
});

test("the values under the pointer are those that were recorded", async () => {
  await signedIn();
  await recorded((before) =>
    before > 450
      ? { connections: limit / 2, protocols: { tcp: limit / 2 - 31_072, udp: 31_072 }, births: 12, deaths: 3.5, bytes: 2_500_000 }
      : { connections: 7, protocols: { icmp: 7 } },
  );
  await open("?range=900");
  await hover(0.2);
  await tip().waitFor();
  const values = async (): Promise<Record<string, string>> =>
    Object.fromEntries(
      await tip().locator("dl > dt").evaluateAll((all) => all.map((one) => [one.textContent?.trim() ?? "", one.nextElementSibling?.textContent?.trim() ?? ""])),
    );
  expect(await values()).toMatchObject({
    all: count(limit / 2),
    [`limit ${count(limit)}`]: "50.0 %",
    tcp: count(limit / 2 - 31_072),
    udp: "31,072",
    "births a second": "12",
    "deaths a second": "3.5",
    throughput: "2.5 MB/s",
  });
  await hover(0.8);
  await until(async () => (await values())["all"] === "7");
  expect(await values()).toMatchObject({ icmp: "7", "births a second": "not known", throughput: "not known" });
  await page.mouse.move(5, 5);
  await tip().waitFor({ state: "detached" });
  expect(problems(page)).toEqual([]);
});

test("protocols are stacked in their colours, and named", async () => {
  await signedIn();
  await recorded((before) => ({ connections: 100, protocols: before > 450 ? { tcp: 100 } : { udp: 100 } }));
  await open("?range=900");
  const legend = page.locator("section.chart .swatch");
  await until(async () => (await legend.allInnerTexts()).join() === "tcp,udp,all, on average");
  await until(async () => (await painted("ink", 0.1, 0.9)) > 200);
  const colours = (from: number, to: number): Promise<string> =>
    page.evaluate(
      ([from, to]) => {
        const canvas = document.querySelector<HTMLCanvasElement>("[data-drawn] canvas");
        const context = canvas?.getContext("2d");
        if (!canvas || !context) return "";
        const { data } = context.getImageData(canvas.width * from, canvas.height * 0.5, canvas.width * (to - from), 1);
        const seen = new Map<string, number>();
        for (let at = 0; at < data.length; at += 4) {
          const colour = data.slice(at, at + 3).join();
          seen.set(colour, (seen.get(colour) ?? 0) + 1);
        }
        return [...seen].sort((a, b) => b[1] - a[1])[0]?.[0] ?? "";
      },
      [from, to] as const,
    );
  const [blue, green] = [await colours(0.15, 0.4), await colours(0.65, 0.9)].map((colour) => colour.split(",").map(Number));
  // tcp is blue, udp is green.
  expect((blue?.[2] ?? 0) > (blue?.[1] ?? 0)).toBe(true);
  expect((green?.[1] ?? 0) > (green?.[2] ?? 0)).toBe(true);
  expect(problems(page)).toEqual([]);
});

test("births and deaths are a picture of their own, throughput another", async () => {
  await signedIn();
  await recorded(() => ({ connections: 100, births: 8, deaths: 4, bytes: 1_000_000 }));
  await open("?range=900");
  await page.getByRole("button", { name: "Births and deaths" }).click();
  await page.locator("[data-drawn=changes]").waitFor();
  expect(inAddress("draw")).toBe("changes");
  await until(async () => (await painted("births")) > 200 && (await painted("deaths")) > 200);
  expect(await page.locator("section.chart .swatch").allInnerTexts()).toEqual(["births a second", "deaths a second"]);
  expect(await page.locator("[data-sentence]").innerText()).toContain(
    "births a second: now 8, least 8, most 8; deaths a second: now 4, least 4, most 4",
  );
  for (const button of await page.locator("section.chart .choice button").all()) {
    const { width, height } = (await button.boundingBox()) ?? { width: 0, height: 0 };
    expect(Math.min(width, height)).toBeGreaterThanOrEqual(24);
  }
  await page.getByRole("button", { name: "Throughput" }).click();
  await page.locator("[data-drawn=throughput]").waitFor();
  await until(async () => (await painted("bytes")) > 200);
  expect(await page.locator("[data-sentence]").innerText()).toContain("now 1.0 MB/s");
  await page.reload();
  await page.locator("[data-drawn=throughput]").waitFor();
  expect(problems(page)).toEqual([]);
});

test("the limit is a line when the table comes near to it, and none when it is far", async () => {
  await signedIn();
  let connections = Math.round(limit * 0.75);
  await recorded(() => ({ connections }));
  await open("?range=900");
  await until(async () => (await painted("bad")) > 200);
  connections = 1000;
  await page.reload();
  await until(async () => (await page.locator("[data-sentence]").innerText()).includes("most 1,000"));
  await until(async () => (await painted("ink")) > 200);
  expect(await painted("bad")).toBe(0);
  expect(problems(page)).toEqual([]);
});

test("where the kernel dropped, there is a mark", async () => {
  await signedIn();
  await recorded((before) => ({ connections: 100, drop: before === 450 ? 7 : 0 }));
  await open("?range=900");
  await until(async () => (await painted("bad", 0.48, 0.52)) > 20);
  expect(await painted("bad", 0, 0.45)).toBe(0);
  expect(await painted("bad", 0.55, 1)).toBe(0);
  expect(await page.locator("[data-refused=drop]").innerText()).toBe("▲ dropped by the kernel: 7");
  // By the keyboard it is exactly reached.
  await plot().focus();
  await page.keyboard.press("Home");
  for (let place = 0; place < 22; place += 1) await page.keyboard.press("PageDown");
  for (let place = 0; place < 10; place += 1) await page.keyboard.press("ArrowRight");
  expect(await tip().innerText()).toMatch(/dropped by the kernel\s+7/);
  await page.keyboard.press("ArrowRight");
  await until(async () => !/dropped/.test(await tip().innerText()));
  expect(problems(page)).toEqual([]);
});

test("a gap is a gap: nothing is drawn there, and the pointer says so", async () => {
  await signedIn();
  await recorded((before) => (before > 300 && before < 600 ? undefined : { connections: 100, protocols: { tcp: 100 } }));
  await open("?range=900");
  await until(async () => (await painted("ink", 0.05, 0.3)) > 50 && (await painted("ink", 0.7, 0.95)) > 50);
  expect(await painted("ink", 0.36, 0.64)).toBe(0);
  expect(await painted("tcp", 0.36, 0.64)).toBe(0);
  await plot().focus();
  await page.keyboard.press("Home");
  await tip().waitFor();
  // The empty place is one step of the arrow keys.
  for (let place = 0; place < 16; place += 1) await page.keyboard.press("PageDown");
  const said = async (): Promise<string> => (await plot().getAttribute("aria-valuetext")) ?? "";
  for (let place = 0; place < 40 && !(await said()).includes("nothing is known"); place += 1) await page.keyboard.press("ArrowLeft");
  expect(await said()).toContain("nothing is known of this time");
  expect(await tip().innerText()).toContain("nothing is known of this time");
  expect(problems(page)).toEqual([]);
});

test("arrow keys go through the points, and Escape leaves them", async () => {
  await signedIn();
  await recorded((before) => ({ connections: before }));
  await open("?range=900");
  const at = async (): Promise<number> => Number(await plot().getAttribute("aria-valuenow"));
  await plot().focus();
  await page.keyboard.press("Home");
  await until(async () => (await at()) === 0);
  expect(await plot().getAttribute("aria-valuetext")).toContain("900 connections");
  await page.keyboard.press("ArrowRight");
  await page.keyboard.press("ArrowRight");
  await until(async () => (await at()) === 2);
  expect(await plot().getAttribute("aria-valuetext")).toContain("898 connections");
  await page.keyboard.press("PageDown");
  await until(async () => (await at()) === 22);
  await page.keyboard.press("ArrowLeft");
  await until(async () => (await at()) === 21);
  await page.keyboard.press("End");
  await until(async () => (await at()) === (await places()));
  expect(await plot().getAttribute("aria-valuetext")).toContain("1 connections");
  await page.keyboard.press("Escape");
  await tip().waitFor({ state: "detached" });
  expect(problems(page)).toEqual([]);
});

test("it folds away, asks for nothing then, and is remembered so", async () => {
  await signedIn();
  let asked = 0;
  page.on("request", (request) => void (asked += request.url().includes("/history?") ? 1 : 0));
  await open();
  await page.getByRole("button", { name: "Over time" }).click();
  await plot().waitFor({ state: "detached" });
  expect(await page.getByRole("button", { name: "Over time" }).getAttribute("aria-expanded")).toBe("false");
  await page.reload();
  await page.locator("[data-fact=connections] strong").getByText(/^\d/).waitFor();
  asked = 0;
  const first = page.locator("[data-fact=births] strong");
  const before = await first.innerText();
  await until(async () => (await first.innerText()) !== before);
  expect(asked).toBe(0);
  await page.getByRole("button", { name: "Over time" }).click();
  await plot().waitFor();
  expect(problems(page)).toEqual([]);
});

test("history that cannot be read, and a time without any, say so", async () => {
  await signedIn();
  let isBroken = true;
  await page.route("**/api/v1/history?*", (route) =>
    isBroken
      ? route.fulfill({ status: 500, json: { code: "history-unusable", message: "the file cannot be opened", hint: "look at the disk" } })
      : route.fulfill({ json: { from: 1, to: 2, step: 1, rows: "seconds", unreadable: 0, points: [] } }),
  );
  await page.goto(daemon.url);
  const failed = page.locator("section.chart [data-told=failed]");
  await failed.waitFor();
  expect(await failed.innerText()).toContain("the file cannot be opened: look at the disk");
  isBroken = false;
  await failed.getByRole("button", { name: "Try again" }).click();
  await page.locator("section.chart [data-told=empty]").getByText("Nothing was recorded in this time.").waitFor();
  expect(problems(page).filter((problem) => !problem.includes("500"))).toEqual([]);
});
