/** The first groups, with the further ones summed up among the others. */
import type { Schemas } from "../api";

type Groups = Schemas["Groups"];
type Sums = Schemas["Sums"];

const SUMMED = ["connections", "uncounted", "share", "share_bytes", "bytes", "bytes_orig", "bytes_reply", "packets", "rate", "rate_orig", "rate_reply"] as const;

export function folded(groups: Groups, most: number): Groups {
  const rest = groups.groups.slice(most);
  if (rest.length === 0) return groups;
  const parts: Sums[] = [...rest, ...(groups.others === undefined ? [] : [groups.others])];
  const others: Sums = { connections: 0, uncounted: 0, groups: rest.length + (groups.others?.groups ?? 0) };
  for (const name of SUMMED) {
    const known = parts.flatMap((part) => part[name] ?? []);
    // A sum of nothing known is not known.
    if (known.length > 0) others[name] = known.reduce((sum, value) => sum + value, 0);
  }
  const newest = parts.flatMap((part) => part.newest_start_ns ?? []);
  if (newest.length > 0) others.newest_start_ns = Math.max(...newest);
  return { ...groups, groups: groups.groups.slice(0, most), others };
}
