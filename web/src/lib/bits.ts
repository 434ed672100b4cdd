/** Numbers that are made of bits: marks, and the flags of TCP. */
import type { Schemas } from "./api";

/** Flags that the kernel keeps of TCP (IP_CT_TCP_FLAG_…), from the lowest bit on. */
const TCP_FLAGS = [
  "WINDOW_SCALE",
  "SACK_PERM",
  "CLOSE_INIT",
  "BE_LIBERAL",
  "DATA_UNACKNOWLEDGED",
  "MAXACK_SET",
  "CHALLENGE_ACK",
  "SIMULTANEOUS_OPEN",
] as const;

export const hex = (value: number): string => `0x${value.toString(16)}`;

export function tcpFlags(flags: number): string[] {
  return TCP_FLAGS.filter((_, bit) => (flags & (1 << bit)) !== 0);
}

export interface MarkPart {
  part: string;
  /** Such as "16–31". */
  bits: string;
  number: number;
  name: string | undefined;
}

/** A mark by the parts that the configuration has, from the highest bits. */
export function markParts(marks: Readonly<Record<string, Schemas["Mark"]>>, mark: number): MarkPart[] {
  const parts = Object.entries(marks).sort(([, a], [, b]) => b.shift - a.shift);
  return parts.map(([part, { shift, mask, names }]) => {
    const number = ((mark >>> shift) & mask) >>> 0;
    const last = shift + 31 - Math.clz32(mask);
    return { part, bits: last > shift ? `${shift}–${last}` : String(shift), number, name: names[String(number)] };
  });
}

/** Decimal, or hexadecimal with 0x; `undefined` for what is no number of 32 bits. */
export function parseNumber(text: string): number | undefined {
  const trimmed = text.trim();
  if (!/^(0x[0-9a-f]+|\d+)$/i.test(trimmed)) return undefined;
  const value = Number(trimmed);
  return value <= 0xffff_ffff ? value : undefined;
}
