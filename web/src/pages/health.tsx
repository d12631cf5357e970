import { Group, SegmentedControl, Select, Stack, Title } from '@mantine/core';
import { useMemo } from 'react';
import { useSearchParams } from 'wouter';
import { useHealth, useOverview, useStats } from '../api/overview';
import { calls, hitRate, lately, ranges, useSeries, type Range } from '../api/series';
import { Advice } from '../parts/advice';
import { Classes } from '../parts/classes';
import { HitRateChart, LatencyChart, MemoryChart, OffloadChart, type Quantile } from '../parts/charts';
import { Incidents, useShades } from '../parts/incidents';
import { KeysCards } from '../parts/keys';
import { LogCard, NodesCard, SharedCard } from '../parts/tiers';
import { Tile } from '../parts/tile';
import { Verdict } from '../parts/verdict';
import { bytes, ms, none, percent, perSecond, span } from '../format';

/** The page that an operator leaves open all day. */
export function HealthPage() {
  const [search, setSearch] = useSearchParams();
  const range = (Object.keys(ranges) as Range[]).find((r) => r === search.get('range')) ?? '10m';
  const quantile = (['p50', 'p95', 'p99'] as Quantile[]).find((q) => q === search.get('q')) ?? 'p99';
  const only = search.get('class') ?? undefined;
  const set = (name: string, value?: string) =>
    setSearch((old) => {
      const next = new URLSearchParams(old);
      if (value) next.set(name, value);
      else next.delete(name);
      return next;
    });

  return (
    <Stack gap="md">
      <Title order={1}>System Health</Title>
      <VerdictNow />
      <Tiles range={range} />
      <Group gap="sm" justify="space-between">
        <Group gap="sm">
          <SegmentedControl
            aria-label="How far back"
            size="xs"
            value={range}
            onChange={(v) => set('range', v === '10m' ? undefined : v)}
            data={Object.entries(ranges).map(([value, r]) => ({ value, label: r.label }))}
          />
          <SegmentedControl aria-label="Which latency" size="xs" value={quantile} onChange={(v) => set('q', v === 'p99' ? undefined : v)} data={['p50', 'p95', 'p99']} />
        </Group>
        <OneClass only={only} onPick={(name) => set('class', name)} />
      </Group>
      <Charts range={range} quantile={quantile} only={only} />
      <Incidents />
      <ClassesNow only={only} onPick={(name) => set('class', name === only ? undefined : name)} />
      <TiersNow />
      <AdviceNow />
      <KeysCards />
    </Stack>
  );
}

function OneClass({ only, onPick }: { only?: string; onPick: (name?: string) => void }) {
  const names = useClassNames();
  return (
    <Select
      aria-label="Only one class"
      size="xs"
      allowDeselect={false}
      value={only ?? ''}
      onChange={(v) => onPick(v || undefined)}
      data={[{ value: '', label: 'All classes' }, ...names]}
    />
  );
}

// Each part of the page follows the figures by itself, so that none waits for the others.

function VerdictNow() {
  return <Verdict health={useHealth()} stats={useStats()} />;
}

function Charts({ range, quantile, only }: { range: Range; quantile: Quantile; only?: string }) {
  const points = useSeries(range);
  const names = useClassNames();
  const max = useOverview().data?.stats.near.max_bytes;
  const times = useMemo(() => points.map((p) => Date.parse(p.time) / 1000), [points]);
  const chart = { points, times, span: ranges[range].seconds, shaded: useShades(times.at(-1) ?? 0) };
  return (
    <div className="charts">
      <HitRateChart {...chart} names={names} only={only} />
      <LatencyChart {...chart} quantile={quantile} />
      <OffloadChart {...chart} only={only} />
      <MemoryChart {...chart} max={max} />
    </div>
  );
}

function ClassesNow({ only, onPick }: { only?: string; onPick: (name: string) => void }) {
  return <Classes stats={useStats()} warnings={useHealth()?.warnings} only={only} onPick={onPick} names={useClassNames()} />;
}

function AdviceNow() {
  return <Advice stats={useStats()} />;
}

function TiersNow() {
  const stats = useStats();
  return (
    <div className="thirds">
      <SharedCard stats={stats} />
      <LogCard stats={stats} />
      <NodesCard stats={stats} />
    </div>
  );
}

/** The names of the classes, the same list for as long as they are the same. */
function useClassNames(): string[] {
  const joined = Object.keys(useStats()?.classes ?? {}).sort().join(' ');
  return useMemo(() => joined.split(' ').filter(Boolean), [joined]);
}

function Tiles({ range }: { range: Range }) {
  const points = useSeries(range);
  const stats = useStats();
  const minute = useMemo(() => lately(points), [points]);
  const last = points.at(-1)?.minute;
  const { sum, seconds } = minute;
  const lookups = sum.near + sum.shared + sum.stale + sum.coalesced + sum.misses;
  const asked = lookups + sum.bypasses;
  const per = (n: number) => (seconds > 0 ? n / seconds : null);
  return (
    <div className="tiles">
      <Tile name="Hit rate" word="hitRate" value={percent(hitRate(sum))} note={lookups > 0 ? `of ${lookups} look-ups in a minute` : 'no look-up in the last minute'} />
      <Tile name="Requests" word="requests" value={perSecond(per(minute.requests))} note={minute.requests === 0 ? 'none in the last minute' : minute.failed > 0 ? `${minute.failed} failed in a minute` : 'none failed in a minute'} />
      <Tile name="Origin spared" word="offload" value={asked > 0 ? percent(Math.max(0, 1 - calls(sum) / asked)) : none} note={asked > 0 ? `${perSecond(per(calls(sum)))} calls` : 'no request in the last minute'} />
      <Tile name="Time saved" word="saved" value={stats ? span(stats.saved_seconds) : none} note={`${span(per(sum.saved_seconds) ?? 0)} each second now`} />
      <Tile name="Slowest percent (p99)" word="latency" value={last && last.n > 0 ? ms(last.p99) : none} note={last && last.n > 0 ? `of ${last.n} requests of the last minute` : 'no request in the last minute'} />
      <Tile
        name="Near tier"
        word="memory"
        value={stats ? bytes(stats.near.bytes) : none}
        note={stats ? `${percent(stats.near.bytes / stats.near.max_bytes)} of ${bytes(stats.near.max_bytes)}, ${stats.near.entries} entries` : undefined}
      />
    </div>
  );
}

