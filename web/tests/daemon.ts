/** A real daemon on a demo network with real traffic, and Debian's Chromium signed in to it. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { type Browser, type BrowserContext, chromium, type Page } from "playwright-core";
import { expect } from "vitest";

const PROGRAM = resolve(process.env["TRACKLIGHT"] ?? "../target/debug/tracklight");
/** A folder with the built page, in place of the one in the program. */
const PAGE = process.env["TRACKLIGHT_PAGE"];
const CHROMIUM = process.env["CHROMIUM"] ?? "/usr/bin/chromium";
/** How long something may take before a test fails. */
export const PATIENCE = 300_000;

/** Waits until something holds. */
export const until = (holds: () => Promise<boolean> | boolean): Promise<void> => expect.poll(holds).toBe(true);

/** A connection as the API tells it, as far as scenarios look at it. */
export interface Row {
  name: string;
  id: number;
  mark?: number;
  orig: { src: string; dst: string; sport: number; dport: number };
  reply: { src: string; dst: string };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port is free");
  server.close();
  await once(server, "close");
  return address.port;
}

export class Daemon {
  readonly #folder = mkdtempSync(join(tmpdir(), "tracklight-page-"));
  #process: ChildProcess | undefined;
  #browser: Browser | undefined;
  #said = "";
  #words: readonly string[] = [];
  #operator = "";
  url = "";

  /** Starts a daemon on a demo network, and the browser. `flags` go to `tracklight demo serve`. */
  static start(flags: readonly string[] = []): Promise<Daemon> {
    return Daemon.#begin(["demo", "serve"], flags);
  }

  /** The same on the table of a network namespace. */
  static inside(namespace: string): Promise<Daemon> {
    return Daemon.#begin(["--netns", namespace, "serve"], []);
  }

  static async #begin(command: readonly string[], flags: readonly string[]): Promise<Daemon> {
    const daemon = new Daemon();
    const port = await freePort();
    daemon.url = `http://127.0.0.1:${port}`;
    const socket = join(daemon.#folder, "socket");
    daemon.#words = [...command, "--state", daemon.#folder, "--socket", socket, "--listen", `127.0.0.1:${port}`, ...flags];
    daemon.run(daemon.#words);
    await daemon.answers();
    daemon.#browser = await chromium.launch({
      executablePath: CHROMIUM,
      args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking", "--disable-sync", "--disable-dev-shm-usage"],
    });
    return daemon;
  }

  /** Starts the program; what it says is told when a test fails. */
  run(words: readonly string[]): void {
    const child = spawn(PROGRAM, words, { stdio: ["ignore", "pipe", "pipe"] });
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (text) => (this.#said += String(text)));
    this.#process = child;
  }

  async answers(): Promise<void> {
    const until = Date.now() + PATIENCE;
    for (;;) {
      try {
        if ((await fetch(`${this.url}/readyz`)).ok) return;
      } catch {
        // It does not listen yet.
      }
      if (Date.now() > until) throw new Error(`the daemon does not answer: ${this.#said}`);
      await new Promise((go) => setTimeout(go, 100));
    }
  }

  /** A new token of a role. */
  token(name: string, role: "operator" | "viewer"): string {
    const words = ["token", "add", name, "--role", role, "--state", this.#folder];
    return execFileSync(PROGRAM, words, { encoding: "utf8" }).trim();
  }

  /** Ends a token and all that hangs on it. */
  revoke(name: string): void {
    execFileSync(PROGRAM, ["token", "revoke", name, "--state", this.#folder]);
  }

  /** The token of somebody who asks and changes beside the page. */
  get operator(): string {
    if (this.#operator === "") this.#operator = this.token("asks", "operator");
    return this.#operator;
  }

  /** Connections that a query finds now, a thousand at most. */
  async rows(query: string, limit = 1000): Promise<Row[]> {
    const path = `/connections?${new URLSearchParams({ limit: String(limit), query })}`;
    return ((await this.ask(this.operator, "GET", path)) as { connections: Row[] }).connections;
  }

  /** A connection that a query finds; waits until there is one. */
  async one(query: string): Promise<Row> {
    const until = Date.now() + PATIENCE;
    for (;;) {
      const [row] = await this.rows(query, 1);
      if (row !== undefined) return row;
      if (Date.now() > until) throw new Error(`no connection: ${query}`);
      await new Promise((go) => setTimeout(go, 200));
    }
  }

  /** Asks the API beside the page. */
  async ask(token: string, method: string, path: string, body?: unknown): Promise<unknown> {
    const answer = await fetch(`${this.url}/api/v1${path}`, {
      method,
      headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`);
    return text === "" ? undefined : JSON.parse(text);
  }

  /** A browser without a session. Errors of the page fail the test: see {@link problems}. */
  async context(options: Parameters<Browser["newContext"]>[0] = {}): Promise<BrowserContext> {
    if (this.#browser === undefined) throw new Error("there is no browser");
    const context = await this.#browser.newContext({ viewport: { width: 1440, height: 900 }, locale: "en-GB", ...options });
    context.setDefaultTimeout(PATIENCE);
    if (PAGE !== undefined) {
      const isFile = (url: URL): boolean => url.pathname === "/" || /^\/(assets\/|icon)/.test(url.pathname);
      await context.route(isFile, (route) => {
        const { pathname } = new URL(route.request().url());
        return route.fulfill({ path: join(PAGE, pathname === "/" ? "index.html" : pathname) });
      });
    }
    return context;
  }

  /** A page that is signed in by the form, with a token of a new name. */
  async signedIn(name: string, role: "operator" | "viewer", options: Parameters<Browser["newContext"]>[0] = {}): Promise<Page> {
    const context = await this.context(options);
    const page = await context.newPage();
    watch(page);
    if (PAGE !== undefined) {
      // The form leads on to the program's own page.
      const headers = { origin: this.url };
      await context.request.post(`${this.url}/api/v1/session`, { headers, data: { token: this.token(name, role) } });
      await page.goto(this.url);
      return page;
    }
    await page.goto(`${this.url}/signin`);
    await page.getByLabel("Token").fill(this.token(name, role));
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.waitForURL((url) => url.pathname === "/");
    return page;
  }

  /** Ends the daemon, as somebody who restarts it does; {@link back} starts it again. */
  async gone(): Promise<void> {
    const child = this.#process;
    if (child !== undefined && child.exitCode === null) {
      child.kill("SIGTERM");
      await once(child, "exit");
    }
  }

  async back(): Promise<void> {
    this.run(this.#words);
    await this.answers();
  }

  /** Closes every page: one that stays open goes on asking. */
  async leave(): Promise<void> {
    for (const context of this.#browser?.contexts() ?? []) await context.close();
  }

  async stop(): Promise<void> {
    await this.#browser?.close();
    await this.gone();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

const told = new WeakMap<Page, string[]>();

function watch(page: Page): void {
  const problems: string[] = [];
  told.set(page, problems);
  page.on("pageerror", (error) => problems.push(String(error)));
  page.on("console", (message) => {
    if (message.type() === "error") problems.push(message.text());
  });
  page.on("request", (request) => {
    // What an empty page opens is what the test asked for.
    if (page.url() === "about:blank") return;
    const url = new URL(request.url());
    if (url.origin !== new URL(page.url()).origin && url.protocol.startsWith("http")) problems.push(`it asked ${url}`);
  });
}

/** What went wrong in a page: errors of its scripts, and requests to other origins. */
export const problems = (page: Page): readonly string[] => told.get(page) ?? [];
