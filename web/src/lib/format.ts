/** Numbers, sizes and times as people read them, in the language of the page. */

const SIZES = ["B", "kB", "MB", "GB", "TB", "PB", "EB"] as const;

let locale = "en";
let whole = new Intl.NumberFormat(locale);
let one = new Intl.NumberFormat(locale, { minimumFractionDigits: 1, maximumFractionDigits: 1 });

/** The language of all that follows. */
export function setLocale(to: string): void {
  locale = to;
  whole = new Intl.NumberFormat(to);
  one = new Intl.NumberFormat(to, { minimumFractionDigits: 1, maximumFractionDigits: 1 });
}

/** 1234567 → "1,234,567". */
export const count = (value: number): string => whole.format(Math.round(value));

/** 3.14159 → "3.1": few of something are told with a digit behind the point. */
export const few = (value: number): string =>
  value > 0 && value < 10 ? value.toLocaleString(locale, { maximumFractionDigits: 1 }) : count(value);

/** 0.123 → "12.3 %". */
export const percent = (part: number): string => `${one.format(part * 100)} %`;

/** 1234567 → "1.2 MB", in powers of 1000 as interfaces and disks are told. */
export function size(bytes: number): string {
  let step = 0;
  while (bytes >= 999.5 && step < SIZES.length - 1) {
    bytes /= 1000;
    step += 1;
  }
  const text = step === 0 || bytes >= 99.95 ? whole.format(Math.round(bytes)) : one.format(bytes);
  return `${text} ${SIZES[step]}`;
}

/** Bytes a second as "1.2 MB/s". */
export const rate = (bytes: number): string => `${size(bytes)}/s`;

/** 3725 → "1h 2m"; two units at most. */
export function duration(seconds: number): string {
  const units: readonly [number, string][] = [
    [86_400, "d"],
    [3600, "h"],
    [60, "m"],
    [1, "s"],
  ];
  let rest = Math.max(0, Math.round(seconds));
  const parts: string[] = [];
  for (const [length, unit] of units) {
    const many = Math.floor(rest / length);
    rest -= many * length;
    if (many > 0 || (unit === "s" && parts.length === 0)) parts.push(`${many}${unit}`);
    else if (parts.length > 0) break;
    if (parts.length === 2) break;
  }
  return parts.join(" ");
}

/** A moment, nanoseconds since the epoch, with date where it is not today. */
export function moment(ns: number): string {
  const date = new Date(ns / 1e6);
  const isToday = date.toDateString() === new Date().toDateString();
  return date.toLocaleString(locale, {
    ...(isToday ? {} : { year: "numeric", month: "short", day: "numeric" }),
    hour: "2-digit",
    minute: "2-digit",
    second: "2-digit",
    hourCycle: "h23",
  });
}

/** A moment of the present day, nanoseconds since the epoch: its time alone, in 24 hours. */
export const clock = (ns: number): string =>
  new Date(ns / 1e6).toLocaleTimeString(locale, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });

/** An address with its port; IPv6 in brackets. */
export function endpoint(address: string, port?: number): string {
  if (port === undefined) return address;
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}
