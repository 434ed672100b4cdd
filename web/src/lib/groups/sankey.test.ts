import { expect, test } from "vitest";
import { type Flow, line, type Node, OTHERS, sankey, type Size, type Value } from "./sankey";

const SIZE: Size = { width: 600, height: 300, node: 10, gap: 6, most: 5 };
const value = (text: string): Value => ({ text, raw: text });
const flow = (amount: number, ...path: (string | typeof OTHERS)[]): Flow => ({
  amount,
  path: path.map((text) => (typeof text === "string" ? value(text) : text)),
});
const name = (node: Node): string => (node.value === OTHERS ? "others" : node.value.text);

test("what flows in flows out, and everything is within the picture", () => {
  const { nodes, bands } = sankey(
    [flow(5, "a", "wan1", "x"), flow(3, "a", "wan2", "y"), flow(2, "b", "wan1", "y"), flow(0, "c", "wan1", "x")],
    SIZE,
  );
  expect(nodes.map((node) => [node.column, name(node), node.amount]).sort()).toEqual([
    [0, "a", 8],
    [0, "b", 2],
    [1, "wan1", 7],
    [1, "wan2", 3],
    [2, "x", 5],
    [2, "y", 5],
  ]);
  for (const node of nodes) {
    expect(node.y).toBeGreaterThanOrEqual(-0.001);
    expect(node.y + node.height).toBeLessThanOrEqual(SIZE.height + 0.001);
    const out = bands.filter((band) => band.from === node);
    if (node.column < 2) expect(out.reduce((sum, band) => sum + band.amount, 0)).toBe(node.amount);
  }
});

test("nodes of a column do not overlap", () => {
  const flows = Array.from({ length: 40 }, (_, place) => flow(1 + (place % 7), `s${place % 9}`, `u${place % 3}`, `d${place % 5}`));
  const { nodes } = sankey(flows, { ...SIZE, most: 12 });
  for (const column of [0, 1, 2]) {
    const own = nodes.filter((node) => node.column === column).sort((a, b) => a.y - b.y);
    for (const [place, node] of own.entries()) {
      const next = own[place + 1];
      if (next !== undefined) expect(next.y).toBeGreaterThanOrEqual(node.y + node.height + SIZE.gap - 0.001);
    }
  }
});

test("beyond the largest, the rest is one node, and it stands last", () => {
  const flows = Array.from({ length: 8 }, (_, place) => flow(10 + place, `s${place}`, "d"));
  const { nodes } = sankey([...flows, flow(4, OTHERS, OTHERS)], SIZE);
  const sources = nodes.filter((node) => node.column === 0).sort((a, b) => a.y - b.y);
  expect(sources.map(name).at(-1)).toBe("others");
  expect(sources).toHaveLength(5);
  expect(sources.at(-1)?.amount).toBe(10 + 11 + 12 + 13 + 4);
});

test("bands of a node lie beside each other", () => {
  const { nodes, bands } = sankey([flow(2, "a", "x"), flow(3, "a", "y"), flow(5, "a", "z")], SIZE);
  const node = nodes.find((node) => name(node) === "a");
  const own = bands.sort((a, b) => a.y0 - b.y0);
  expect(own.reduce((sum, band) => sum + band.width, 0)).toBeCloseTo(node?.height ?? 0);
  for (const [place, band] of own.entries()) {
    const next = own[place + 1];
    if (next !== undefined) expect(next.y0 - next.width / 2).toBeCloseTo(band.y0 + band.width / 2);
  }
});

test("nothing flows", () => {
  expect(sankey([], SIZE)).toEqual({ nodes: [], bands: [] });
  expect(sankey([flow(0, "a", "b")], SIZE)).toEqual({ nodes: [], bands: [] });
});

test("a band is a curve between its nodes", () => {
  const { bands } = sankey([flow(1, "a", "b")], SIZE);
  expect(bands.map((band) => line(band, SIZE.node))).toEqual(["M10,150C300,150 300,150 590,150"]);
});
