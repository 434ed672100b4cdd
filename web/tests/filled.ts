/** A table of a network namespace of its own, filled with as many entries as a provider's gateway has. */
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { dirname, resolve } from "node:path";

const PROGRAM = process.env["TRACKLIGHT"] ?? "../target/debug/tracklight";
/** `cargo build --examples` makes it beside the program. */
const FILL = process.env["FILL"] ?? resolve(dirname(PROGRAM), "examples/fill");
const NAMESPACE = `tracklight-page-${process.pid}`;

const sysctl = (name: string): string => `/proc/sys/net/netfilter/nf_conntrack_${name}`;
const ip = (...words: string[]): string => execFileSync("ip", words, { encoding: "utf8" });

export class FilledTable {
  readonly namespace = NAMESPACE;
  #before: [name: string, value: string][] = [];

  constructor(entries: number) {
    // The limits are those of the whole machine.
    this.#raise("buckets", entries);
    this.#raise("max", entries + 100_000);
    ip("netns", "add", NAMESPACE);
    try {
      for (const name of ["acct", "timestamp"]) this.#inside("sh", "-c", `echo 1 >${sysctl(name)}`);
      this.#inside(FILL, String(entries));
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** How many entries the kernel has. */
  get count(): number {
    return Number(this.#inside("cat", sysctl("count")));
  }

  close(): void {
    ip("netns", "del", NAMESPACE);
    for (const [name, value] of this.#before) writeFileSync(sysctl(name), value);
  }

  #inside(...words: string[]): string {
    return ip("netns", "exec", NAMESPACE, ...words);
  }

  #raise(name: string, value: number): void {
    const before = readFileSync(sysctl(name), "utf8");
    if (Number(before) >= value) return;
    this.#before.push([name, before]);
    writeFileSync(sysctl(name), String(value));
  }
}
