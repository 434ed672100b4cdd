/** A value as a query wants it: in quotes unless it is a plain word. */
export function quoted(value: string | number): string {
  const text = String(value);
  if (/^[\w.:/+-]+$/.test(text)) return text;
  return `"${text.replace(/(["\\])/g, "\\$1")}"`;
}
