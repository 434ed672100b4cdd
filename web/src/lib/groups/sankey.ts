/**
 * Groups as a flow from column to column: how wide each band is, and where it runs.
 *
 * Nodes of a column are stacked, with heights by what flows through them; then each is moved towards the middle of its
 * neighbours, to and fro with less and less force, and pushed apart where two overlap. Bands leave and enter a node in
 * the order of the nodes at their other ends, so that they cross little.
 */

export interface Flow {
  /** One value a column. */
  path: readonly Value[];
  amount: number;
}

/** A node's value, or that it stands for all that are not shown by themselves. */
export type Value = { text: string; raw: unknown } | typeof OTHERS;

export const OTHERS = Symbol("others");

export interface Node {
  column: number;
  value: Value;
  amount: number;
  x: number;
  y: number;
  height: number;
}

export interface Band {
  from: Node;
  to: Node;
  amount: number;
  /** Middle of its ends, and how wide it is. */
  y0: number;
  y1: number;
  width: number;
}

export interface Layout {
  nodes: Node[];
  bands: Band[];
}

export interface Size {
  width: number;
  height: number;
  /** Width of a node. */
  node: number;
  /** Between two nodes of a column. */
  gap: number;
  /** How many nodes a column has at most, with the one of the others. */
  most: number;
}

const ROUNDS = 32;
const OTHERS_KEY = "\u0000others";
const keyOf = (value: Value): string => (value === OTHERS ? OTHERS_KEY : `v${value.text}`);

/** Nodes and bands of flows within a size. What does not flow is left out. */
export function sankey(flows: readonly Flow[], size: Size): Layout {
  const all = flows.filter((flow) => flow.amount > 0);
  const columns = all[0]?.path.length ?? 0;
  if (columns === 0) return { nodes: [], bands: [] };
  const kept = Array.from({ length: columns }, (_, column) => largest(all, column, size.most));
  const nodes = new Map<string, Node>();
  const bands = new Map<string, Band>();
  for (const { path, amount } of all) {
    let before: Node | undefined;
    for (let column = 0; column < columns; column += 1) {
      const value = path[column] ?? OTHERS;
      const shown = kept[column]?.has(keyOf(value)) ? value : OTHERS;
      const key = `${column} ${keyOf(shown)}`;
      const x = columns === 1 ? 0 : (column / (columns - 1)) * (size.width - size.node);
      const node: Node = nodes.get(key) ?? { column, value: shown, amount: 0, x, y: 0, height: 0 };
      nodes.set(key, node);
      node.amount += amount;
      if (before !== undefined) {
        const bandKey = `${column} ${keyOf(before.value)}\u0000${keyOf(shown)}`;
        const band: Band = bands.get(bandKey) ?? { from: before, to: node, amount: 0, y0: 0, y1: 0, width: 0 };
        bands.set(bandKey, band);
        band.amount += amount;
      }
      before = node;
    }
  }
  const layout = { nodes: [...nodes.values()], bands: [...bands.values()] };
  place(layout, columns, size);
  return layout;
}

/** The values of a column that are shown by themselves. */
function largest(flows: readonly Flow[], column: number, most: number): Set<string> {
  const sums = new Map<string, number>();
  for (const { path, amount } of flows) {
    const value = path[column] ?? OTHERS;
    if (value !== OTHERS) sums.set(keyOf(value), (sums.get(keyOf(value)) ?? 0) + amount);
  }
  const isAll = sums.size <= most && !flows.some(({ path }) => path[column] === OTHERS);
  const order = [...sums].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1));
  return new Set(order.slice(0, isAll ? most : most - 1).map(([key]) => key));
}

function place({ nodes, bands }: Layout, count: number, size: Size): void {
  const columns = Array.from({ length: count }, (_, column) =>
    nodes.filter((node) => node.column === column).sort((a, b) => rank(a) - rank(b) || b.amount - a.amount),
  );
  const scale = Math.min(...columns.map((column) => (size.height - (column.length - 1) * size.gap) / sum(column)));
  for (const column of columns) {
    let y = 0;
    for (const node of column) {
      node.height = Math.max(1, node.amount * scale);
      node.y = y;
      y += node.height + size.gap;
    }
    part(column, size);
  }
  for (const band of bands) band.width = Math.max(0.5, band.amount * scale);
  const into = by(bands, (band) => band.to);
  const out = by(bands, (band) => band.from);
  for (let round = 0, force = 1; round < ROUNDS; round += 1, force *= 0.96) {
    const isForth = round % 2 === 0;
    for (const column of isForth ? columns : columns.toReversed()) {
      for (const node of column) {
        const near = (isForth ? into : out).get(node) ?? [];
        if (near.length === 0 || node.value === OTHERS) continue;
        const pull = near.reduce((all, band) => all + middle(isForth ? band.from : band.to) * band.amount, 0);
        node.y += (pull / sum(near) - middle(node)) * force;
      }
      part(column, size);
    }
  }
  for (const node of nodes) {
    ends(node, out.get(node) ?? [], (band) => band.to, (band, y) => (band.y0 = y));
    ends(node, into.get(node) ?? [], (band) => band.from, (band, y) => (band.y1 = y));
  }
}

/** The others stand last. */
const rank = (node: Node): number => (node.value === OTHERS ? 1 : 0);
const middle = (node: Node): number => node.y + node.height / 2;
const sum = (parts: readonly { amount: number }[]): number => parts.reduce((all, { amount }) => all + amount, 0);

function by(bands: readonly Band[], end: (band: Band) => Node): Map<Node, Band[]> {
  const all = new Map<Node, Band[]>();
  for (const band of bands) all.set(end(band), [...(all.get(end(band)) ?? []), band]);
  return all;
}

/** Pushes nodes of a column apart, and all of them into the height that there is. */
function part(column: Node[], { height, gap }: Size): void {
  column.sort((a, b) => rank(a) - rank(b) || middle(a) - middle(b));
  let free = 0;
  for (const node of column) {
    node.y = Math.max(node.y, free);
    free = node.y + node.height + gap;
  }
  let end = height;
  for (const node of column.toReversed()) {
    if (node.y + node.height > end) node.y = end - node.height;
    end = node.y - gap;
  }
}

function ends(node: Node, bands: Band[], other: (band: Band) => Node, put: (band: Band, y: number) => void): void {
  let y = node.y;
  for (const band of bands.sort((a, b) => middle(other(a)) - middle(other(b)))) {
    put(band, y + band.width / 2);
    y += band.width;
  }
}

/** The line along the middle of a band. */
export function line(band: Band, node: number): string {
  const x0 = band.from.x + node;
  const x1 = band.to.x;
  const half = (x0 + x1) / 2;
  return `M${round(x0)},${round(band.y0)}C${round(half)},${round(band.y0)} ${round(half)},${round(band.y1)} ${round(x1)},${round(band.y1)}`;
}

const round = (value: number): number => Math.round(value * 10) / 10;
