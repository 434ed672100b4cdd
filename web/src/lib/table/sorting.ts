/** What the daemon sorts by from the largest; all else is ascending. */
export const QUANTITIES: ReadonlySet<string> = new Set([
  "rate",
  "rate_orig",
  "rate_reply",
  "bytes",
  "packets",
  "age",
  "timeout",
]);
