import { useComputedColorScheme } from '@mantine/core';
import { useEffect, useRef, useState } from 'react';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import { clock } from '../format';

export interface Line {
  name: string;
  colour: string;
  values: (number | null)[];
  dash?: number[];
  fill?: boolean;
}

export interface Shade {
  from: number;
  to: number;
  text: string;
}

interface Props {
  /** What the chart shows, for those who do not see it. */
  label: string;
  /** Ends of the steps, in seconds. */
  times: number[];
  lines: Line[];
  format: (v: number | null | undefined) => string;
  /** Times, in seconds, at which something happened that explains a change. */
  marks?: { time: number; text: string }[];
  /** Times, in seconds, in which something was wrong: shaded. */
  shaded?: Shade[];
  logarithmic?: boolean;
  /** The values are bytes: the axis steps in powers of two. */
  binary?: boolean;
  /** Bounds that do not follow the values. */
  from?: number;
  to?: number;
  height?: number;
  span: number;
}

/** A chart over time: a canvas, and the latest values as text below it. */
export function Chart(props: Props) {
  const { label, times, lines, format, height = 190, logarithmic, span, shaded } = props;
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot>(undefined);
  const latest = useRef(props);
  latest.current = props;
  const [pointed, setPointed] = useState<number>();
  const at = pointed ?? times.length - 1;
  const dark = useComputedColorScheme('light') === 'dark';
  const shape = lines.map((l) => l.name + l.colour).join('|');

  useEffect(() => {
    const into = box.current;
    if (!into) return;
    const u = new uPlot(options(latest, into.clientWidth, height, dark, setPointed), data(latest.current), into);
    plot.current = u;
    const resized = new ResizeObserver(() => into.clientWidth > 0 && u.setSize({ width: into.clientWidth, height }));
    resized.observe(into);
    return () => {
      resized.disconnect();
      u.destroy();
      plot.current = undefined;
    };
  }, [shape, dark, logarithmic, height]);

  useEffect(() => {
    // Each chart in a task of its own: together they would hold up the page.
    const soon = setTimeout(() => plot.current?.setData(data(latest.current)));
    return () => clearTimeout(soon);
  }, [times, lines, span, shaded]);

  const said = lines.map((l) => `${l.name} ${format(l.values.at(-1))}`).join(', ');
  const wrong = within(shaded, times).map((s) => s.text);
  return (
    <>
      <div ref={box} role="img" aria-label={`${label}. Latest: ${said || 'no data'}.${wrong.length > 0 ? ` Shaded: ${wrong.join('; ')}.` : ''}`} style={{ minHeight: height }} />
      <ul className="legend">
        {lines.map((l) => (
          <li key={l.name}>
            <span className="dot" style={{ color: l.colour }} aria-hidden="true" />
            {l.name}
            <span className="soft">{format(l.values[at])}</span>
          </li>
        ))}
        {pointed !== undefined && times[pointed] !== undefined && <li className="soft">at {clock(times[pointed]! * 1000)}</li>}
        {wrong.length > 0 && (
          <li>
            <span className="shade" aria-hidden="true" />
            {wrong.length === 1 ? 'an incident' : `${wrong.length} incidents`}
          </li>
        )}
      </ul>
    </>
  );
}

/** What a chart spans at least, in seconds: before that, time comes in from the right. */
const shortest = 60;

function data(p: Props): uPlot.AlignedData {
  return [p.times, ...p.lines.map((l) => l.values)] as uPlot.AlignedData;
}

function options(latest: { current: Props }, width: number, height: number, dark: boolean, point: (at?: number) => void): uPlot.Options {
  const p = latest.current;
  const text = dark ? '#a8b3bd' : '#5f6b76';
  const grid = { stroke: dark ? '#2c353f' : '#e6ebef', width: 1 };
  const font = '11px system-ui, sans-serif';
  return {
    width,
    height,
    cursor: { y: false, points: { size: 6 } },
    legend: { show: false },
    padding: [8, 8, 0, 0],
    scales: {
      x: { time: true, range: (_u, min, max) => [Math.max((max ?? 0) - latest.current.span, Math.min(min ?? 0, (max ?? 0) - shortest)), max ?? 0] },
      y: p.logarithmic
        ? { distr: 3, range: (_u, min, max) => (min == null || max == null ? [0.1, 1000] : [10 ** Math.floor(Math.log10(Math.max(min, 0.01))), 10 ** Math.ceil(Math.log10(Math.max(max, 0.1)))]) }
        : { range: (_u, _min, max) => [p.from ?? 0, p.to ?? Math.max((max ?? 0) * 1.1, 1e-9)] },
    },
    axes: [
      { stroke: text, grid, ticks: { show: false }, font, size: 24, values: (u, ticks) => ticks.map((t) => when(t, u.scales.x!.max! - u.scales.x!.min!)) },
      {
        stroke: text,
        grid: p.logarithmic ? { ...grid, filter: decades } : grid,
        ticks: { show: false },
        font,
        size: 62,
        incrs: p.binary ? powersOfTwo : undefined,
        // Of a logarithmic scale the powers of ten alone, or it would be all lines.
        filter: (u, ticks) => (p.logarithmic ? decades(u, ticks) : ticks),
        values: (_u, ticks) => ticks.map((v) => (v == null ? '' : p.format(v))),
      },
    ],
    series: [
      {},
      ...p.lines.map((l) => ({
        label: l.name,
        stroke: l.colour,
        width: 1.75,
        dash: l.dash,
        fill: l.fill ? `${l.colour}2e` : undefined,
        points: { show: (u: uPlot, i: number) => lonely(u, i), size: 4, fill: l.colour },
      })),
    ],
    hooks: {
      drawClear: [(u) => drawShades(u, latest.current.shaded ?? [])],
      draw: [(u) => drawMarks(u, latest.current.marks ?? [], dark)],
      setCursor: [(u) => (say(u, latest.current), point(u.cursor.idx ?? undefined))],
    },
  };
}

const powersOfTwo = Array.from({ length: 50 }, (_, i) => 2 ** i);

const decades = (_u: uPlot, ticks: number[]) => ticks.map((v) => (Math.abs(Math.log10(v) - Math.round(Math.log10(v))) < 1e-6 ? v : null));

function when(time: number, over: number): string {
  const at = new Date(time * 1000);
  if (over > 86_400) return at.toLocaleString([], { weekday: 'short', hour: '2-digit', minute: '2-digit', hour12: false });
  return at.toLocaleTimeString([], { hour: '2-digit', minute: '2-digit', second: over < 180 ? '2-digit' : undefined, hour12: false });
}

/** Beyond this many, marks would hide what they mark: they stand at the foot of the chart alone. */
const mostMarks = 40;

/** A point without neighbours has no line: it needs a dot to be seen. */
function lonely(u: uPlot, series: number): boolean {
  const values = u.data[series]!;
  let runs = 0;
  for (let i = 0; i < values.length; i++) {
    if (values[i] != null && values[i - 1] == null && values[i + 1] == null && ++runs > 0) return true;
  }
  return false;
}

/** Those that can be seen in what the chart spans. */
function within(shaded: Shade[] = [], times: number[]): Shade[] {
  const [first, last] = [times[0], times.at(-1)];
  return first === undefined || last === undefined ? [] : shaded.filter((s) => s.to >= first && s.from <= last);
}

function drawShades(u: uPlot, shaded: Shade[]) {
  const { ctx, bbox } = u;
  ctx.save();
  ctx.fillStyle = 'rgba(214, 69, 93, 0.16)';
  for (const s of shaded) {
    const from = Math.max(u.valToPos(s.from, 'x', true), bbox.left);
    const to = Math.min(u.valToPos(s.to, 'x', true), bbox.left + bbox.width);
    if (to > from) ctx.fillRect(from, bbox.top, Math.max(to - from, 2 * devicePixelRatio), bbox.height);
  }
  ctx.restore();
}

function drawMarks(u: uPlot, marks: { time: number }[], dark: boolean) {
  const { ctx, bbox } = u;
  ctx.save();
  ctx.strokeStyle = dark ? '#f0bb4b' : '#b26b00';
  ctx.globalAlpha = 0.55;
  ctx.lineWidth = devicePixelRatio;
  ctx.setLineDash([3 * devicePixelRatio, 3 * devicePixelRatio]);
  const top = marks.length > mostMarks ? bbox.top + bbox.height - 6 * devicePixelRatio : bbox.top;
  for (const m of marks) {
    const x = u.valToPos(m.time, 'x', true);
    if (x < bbox.left || x > bbox.left + bbox.width) continue;
    ctx.beginPath();
    ctx.moveTo(x, top);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
  }
  ctx.restore();
}

/** Shows the values under the pointer as the chart's title. */
function say(u: uPlot, p: Props) {
  const i = u.cursor.idx;
  const time = i == null ? undefined : p.times[i];
  if (i == null || time === undefined) {
    u.over.title = '';
    return;
  }
  const near = (p.marks ?? []).filter((m) => Math.abs(m.time - time) < p.span / 200).map((m) => m.text);
  near.push(...(p.shaded ?? []).filter((s) => s.from <= time && time <= s.to).map((s) => s.text));
  u.over.title = [new Date(time * 1000).toLocaleTimeString(), ...p.lines.map((l) => `${l.name} ${p.format(l.values[i])}`), ...near].join('\n');
}
