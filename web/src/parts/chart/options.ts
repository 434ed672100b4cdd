/** How uPlot is to draw the chart. */
import type uPlot from "uplot";
import { count, rate } from "../../lib/format";
import { type Drawn, isNear, lonely, PROTOCOLS, refusals, type Slot, ticks } from "../../lib/chart/series";

/** What changes while a chart is shown; it is read whenever the chart is drawn. */
export interface Shown {
  slots: readonly Slot[];
  from: number;
  to: number;
  limit: number | undefined;
  most: number;
  locale: string;
  limitText: string;
}

export interface Hands {
  zoom: (from: number, until: number) => void;
  hover: (place: number | undefined, left: number) => void;
}

type Colour = (name: string) => string;
const AXIS = '12px system-ui, "Segoe UI", Roboto, "Noto Sans", sans-serif';

export function options(drawn: Drawn, shown: () => Shown, colour: Colour, hands: Hands): Omit<uPlot.Options, "width" | "height"> {
  const quiet = colour("quiet");
  const line = colour("line");
  const axis = { stroke: quiet, font: AXIS, grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1 } };
  return {
    padding: [10, 12, 0, 0],
    legend: { show: false },
    cursor: {
      drag: { x: true, y: false, setScale: false },
      points: { size: 7 },
      y: false,
    },
    scales: {
      x: { time: true, range: () => [shown().from, shown().to] },
      y: { range: (_, __, most) => [0, top(drawn, shown(), most)] },
    },
    axes: [
      { ...axis, size: 28, space: 70, values: (_, at, __, ___, step) => ticks(at, step, shown().locale) },
      {
        ...axis,
        size: 76,
        space: 32,
        values: (_, at) => at.map((value) => (drawn === "throughput" ? rate(value) : short(value, shown().locale))),
      },
    ],
    series: [{}, ...series(drawn, colour)],
    ...(drawn === "connections" ? { bands: PROTOCOLS.slice(1).map((_, place) => ({ series: [place + 2, place + 1] as [number, number] })) } : {}),
    hooks: {
      draw: [(plot) => drawn === "connections" && drawLimit(plot, shown(), colour), (plot) => drawRefusals(plot, shown(), colour)],
      setSelect: [
        (plot) => {
          if (plot.select.width < 6) return;
          const from = Math.floor(plot.posToVal(plot.select.left, "x"));
          const until = Math.ceil(plot.posToVal(plot.select.left + plot.select.width, "x"));
          plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
          hands.zoom(from, Math.max(until, from + 10));
        },
      ],
      setCursor: [
        (plot) => {
          const { idx, left = -1 } = plot.cursor;
          hands.hover(left < 0 || idx === null || idx === undefined ? undefined : idx, left + plot.bbox.left / devicePixelRatio);
        },
      ],
    },
  };
}

function top(drawn: Drawn, shown: Shown, most: number | null): number {
  const all = Math.max(most ?? 0, drawn === "connections" && isNear(shown.most, shown.limit) ? shown.limit : 0);
  return all > 0 ? all * 1.08 : 1;
}

function short(value: number, locale: string): string {
  if (value < 10_000) return Number.isInteger(value) ? count(value) : value.toLocaleString(locale, { maximumFractionDigits: 2 });
  return value.toLocaleString(locale, { notation: "compact", maximumFractionDigits: 1 });
}

function series(drawn: Drawn, colour: Colour): uPlot.Series[] {
  const dots: uPlot.Series.Points = { show: true, size: 4, filter: (plot, place) => lonely([...(plot.data[place] ?? [])]) };
  if (drawn === "changes") {
    return [
      { stroke: colour("births"), width: 1.5, points: dots },
      { stroke: colour("deaths"), width: 1.5, points: dots },
    ];
  }
  if (drawn === "throughput") {
    return [{ stroke: colour("bytes"), width: 1.5, fill: faint(colour("bytes"), 0.2), points: dots }];
  }
  return [
    ...PROTOCOLS.map((name) => ({ stroke: colour(name), width: 0.5, fill: faint(colour(name), 0.55), points: { show: false } })),
    { stroke: colour("ink"), width: 1.5, points: dots },
    { stroke: colour("quiet"), width: 1, dash: [2, 3], points: { show: false } },
  ];
}

/** A colour through which the lines behind it can be seen. */
const faint = (colour: string, part: number): string => `color-mix(in srgb, ${colour} ${part * 100}%, transparent)`;

function drawLimit(plot: uPlot, shown: Shown, colour: Colour): void {
  if (!isNear(shown.most, shown.limit)) return;
  const { ctx, bbox } = plot;
  const at = plot.valToPos(shown.limit, "y", true);
  ctx.save();
  ctx.strokeStyle = ctx.fillStyle = colour("bad");
  ctx.lineWidth = devicePixelRatio * 1.5;
  ctx.setLineDash([6 * devicePixelRatio, 4 * devicePixelRatio]);
  ctx.beginPath();
  ctx.moveTo(bbox.left, at);
  ctx.lineTo(bbox.left + bbox.width, at);
  ctx.stroke();
  ctx.font = `${12 * devicePixelRatio}px system-ui, sans-serif`;
  ctx.textAlign = "left";
  ctx.textBaseline = "top";
  ctx.fillText(shown.limitText, bbox.left + 6 * devicePixelRatio, at + 3 * devicePixelRatio);
  ctx.restore();
}

/** A triangle on the time axis wherever the kernel refused or gave up connections. */
function drawRefusals(plot: uPlot, shown: Shown, colour: Colour): void {
  const { ctx, bbox } = plot;
  const size = 5 * devicePixelRatio;
  const base = bbox.top + bbox.height;
  ctx.save();
  ctx.fillStyle = colour("bad");
  for (const { point } of shown.slots) {
    if (point === undefined || refusals(point).length === 0) continue;
    const at = plot.valToPos(point.time, "x", true);
    if (at < bbox.left || at > bbox.left + bbox.width) continue;
    ctx.beginPath();
    ctx.moveTo(at - size, base);
    ctx.lineTo(at + size, base);
    ctx.lineTo(at, base - 2 * size);
    ctx.fill();
  }
  ctx.restore();
}
