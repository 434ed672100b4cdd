/** Expectations in words: what of a tuple counts, and whose it is. */
import type { Schemas } from "./api";
import { endpoint } from "./format";
import { quoted } from "./quoted";

type Expected = Schemas["Expected"];
type Way = Schemas["Way"];

/** No bit of it counts. */
const isAny = (mask: string): boolean => /^[0:.]+$/.test(mask);

/** Both ends as far as they count; `undefined` where nothing of an end does. */
export function expectedEnds({ tuple, mask }: Pick<Expected, "tuple" | "mask">): { src?: string; dst?: string } {
  const src = end(tuple.src, mask.src, tuple.sport, mask.sport);
  const dst = end(tuple.dst, mask.dst, tuple.dport, mask.dport);
  return { ...(src === undefined ? {} : { src }), ...(dst === undefined ? {} : { dst }) };
}

function end(address: string, bits: string, port: number | undefined, portBits: number | undefined): string | undefined {
  // A mask without a port says nothing of it: then the port that is there counts.
  const known = portBits === 0 ? undefined : port;
  if (!isAny(bits)) return endpoint(address, known);
  return known === undefined ? undefined : endpoint("*", known);
}

/** Selects the connection that an expectation belongs to. */
export function masterTerm({ master }: Pick<Expected, "master">): string {
  const ports = (way: Way): string[] => [
    ...(way.sport === undefined ? [] : [`sport == ${way.sport}`]),
    ...(way.dport === undefined ? [] : [`dport == ${way.dport}`]),
  ];
  // The expected protocol need not be the master's: a call set up by TCP expects voice by UDP.
  return [`src == ${quoted(master.src)}`, `dst == ${quoted(master.dst)}`, ...ports(master)].join(" and ");
}
