import { memo, useMemo } from 'react';
import type { Point } from '../api/client';
import { calls, hitRate, rollingHitRate, total } from '../api/series';
import { bytes, ms, percent, perSecond, span } from '../format';
import { colourOf, outcomeColours, requestsColour } from '../theme';
import { Card } from './card';
import { Chart, type Shade } from './chart';

interface Over {
  points: Point[];
  times: number[];
  span: number;
  shaded?: Shade[];
}

/** How many points a hit rate is of. */
const pointsTogether = 5;

export type Quantile = 'p50' | 'p95' | 'p99';

function marksOf(points: Point[], times: number[]) {
  return points.flatMap((p, i) => (p.invalidations > 0 ? [{ time: times[i]!, text: `${p.invalidations} invalidated` }] : []));
}

export const HitRateChart = memo(function HitRateChart({ points, times, span, shaded, names, only }: Over & { names: string[]; only?: string }) {
  const lines = useMemo(() => {
    const asked = names.filter((n) => (only ? n === only : points.some((p) => p.classes[n] && hitRate(p.classes[n]) !== null)));
    return asked.slice(0, 10).map((n) => ({ name: n, colour: colourOf(n, names), values: rollingHitRate(points, pointsTogether, n) }));
  }, [points, names, only]);
  const marks = useMemo(() => marksOf(points, times), [points, times]);
  return (
    <Card title="Hit rate by class" word="hitRate" right={<span className="soft" style={{ fontSize: '0.8rem' }}>dashed: invalidations</span>}>
      <Chart label="Hit rate by class over time" times={times} lines={lines} format={(v) => percent(v, 0)} from={0} to={1.02} marks={marks} span={span} shaded={shaded} />
    </Card>
  );
});

const outcomes = ['near', 'shared', 'stale', 'coalesced', 'miss'];

export const LatencyChart = memo(function LatencyChart({ points, times, span, shaded, quantile }: Over & { quantile: Quantile }) {
  const lines = useMemo(
    () =>
      outcomes
        .filter((o) => points.some((p) => p.latency[o]))
        .map((o) => ({ name: o, colour: outcomeColours[o]!, values: points.map((p) => p.latency[o]?.[quantile] ?? null) })),
    [points, quantile],
  );
  return (
    <Card title={`Time to first byte, ${quantile}`} word="latency">
      <Chart label={`Time to first byte by outcome, ${quantile}, logarithmic`} times={times} lines={lines} format={ms} logarithmic span={span} shaded={shaded} />
    </Card>
  );
});

export const OffloadChart = memo(function OffloadChart({ points, times, span: seconds, shaded, only }: Over & { only?: string }) {
  const lines = useMemo(() => {
    const sums = points.map((p) => ({ c: total(p, only), s: Math.max(p.seconds, 0.001) }));
    return [
      { name: 'requests', colour: requestsColour, fill: true, values: sums.map(({ c, s }) => (c.near + c.shared + c.stale + c.coalesced + c.misses + c.bypasses) / s) },
      { name: 'calls of the origin', colour: outcomeColours.miss!, fill: true, values: sums.map(({ c, s }) => calls(c) / s) },
    ];
  }, [points, only]);
  const last = points.at(-1);
  const saved = last ? total(last, only).saved_seconds / Math.max(last.seconds, 0.001) : undefined;
  return (
    <Card title="What the origin is spared" word="offload" right={<span className="soft" style={{ fontSize: '0.8rem' }}>{saved === undefined ? '' : `${span(saved)} of waiting saved each second`}</span>}>
      <Chart label="Requests and calls of the origin per second" times={times} lines={lines} format={perSecond} span={seconds} shaded={shaded} />
    </Card>
  );
});

export const MemoryChart = memo(function MemoryChart({ points, times, span, shaded, max }: Over & { max?: number }) {
  const lines = useMemo(
    () => [
      { name: 'near tier', colour: outcomeColours.near!, fill: true, values: points.map((p) => p.near_bytes) },
      ...(max && points.some((p) => p.near_bytes > max / 4) ? [{ name: 'bound', colour: requestsColour, dash: [6, 4], values: points.map(() => max) }] : []),
    ],
    [points, max],
  );
  const evicted = points.reduce((n, p) => n + p.evictions, 0);
  return (
    <Card title="Memory of the near tier" word="memory" right={<span className="soft" style={{ fontSize: '0.8rem' }}>{max ? `bound ${bytes(max)}, ` : ''}{evicted} evicted</span>}>
      <Chart label="Memory of the near tier" times={times} lines={lines} format={bytes} binary span={span} shaded={shaded} />
    </Card>
  );
});
