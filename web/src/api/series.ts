import { useQuery } from '@tanstack/react-query';
import { useDeferredValue, useEffect, useRef, useState } from 'react';
import { ask, type Point, type Schemas, type Step } from './client';
import { useNow } from './live';

export const ranges = {
  '10m': { step: '1s' as Step, label: '10 minutes', seconds: 600, keep: 600, every: 1 },
  '2h': { step: '10s' as Step, label: '2 hours', seconds: 7200, keep: 720, every: 10 },
  '2d': { step: '1m' as Step, label: '2 days', seconds: 172_800, keep: 2880, every: 60 },
};

export type Range = keyof typeof ranges;

/** The points of a range, to which each second adds one where the range is that fine. */
export function useSeries(range: Range): Point[] {
  const { step, keep, every } = ranges[range];
  const [generation, paused] = [useNow((n) => n.generation), useNow((n) => n.status === 'paused')];
  const { data } = useQuery({
    queryKey: ['series', step, generation],
    queryFn: () => ask<Schemas['Series']>(`api/series?step=${step}`),
    refetchInterval: step === '1s' || paused ? false : every * 1000,
    placeholderData: (old) => (old?.step === step ? old : undefined),
  });
  const [points, setPoints] = useState<Point[]>([]);
  const later = useRef<Point[]>([]);
  useEffect(() => {
    if (step !== '1s') later.current = []; // seconds do not stand beside minutes
    if (data) setPoints(join(data.points, later.current, keep));
  }, [data, keep, step]);
  const point = useNow((n) => n.live?.point);
  useEffect(() => {
    if (!point || step !== '1s') return;
    later.current = [...later.current.slice(-60), point];
    setPoints((all) => join(all, [point], keep));
  }, [point, step, keep]);
  return useDeferredValue(points);
}

/** Adds the points that are later than the last one. */
export function join(points: Point[], later: Point[], keep: number): Point[] {
  const last = points.at(-1)?.time ?? '';
  const added = later.filter((p) => Date.parse(p.time) > Date.parse(last || '1970-01-01'));
  return added.length === 0 ? points.slice(-keep) : [...points, ...added].slice(-keep);
}

export interface Counted {
  near: number;
  shared: number;
  stale: number;
  coalesced: number;
  misses: number;
  loads: number;
  passed: number;
  bypasses: number;
  saved_seconds: number;
}

/** Every call of the origin: loads, and what was passed on. */
export const calls = (c: Counted) => c.loads + c.passed;

const nothing = (): Counted => ({ near: 0, shared: 0, stale: 0, coalesced: 0, misses: 0, loads: 0, passed: 0, bypasses: 0, saved_seconds: 0 });

function add(sum: Counted, c: Counted, times = 1) {
  sum.near += times * c.near;
  sum.shared += times * c.shared;
  sum.stale += times * c.stale;
  sum.coalesced += times * c.coalesced;
  sum.misses += times * c.misses;
  sum.loads += times * c.loads;
  sum.passed += times * c.passed;
  sum.bypasses += times * c.bypasses;
  sum.saved_seconds += times * c.saved_seconds;
}

// A point never changes, and each is looked at again every second.
const totals = new WeakMap<Point, Counted>();

/** The sum over the classes, or one of them. */
export function total(p: Point, only?: string): Counted {
  if (only) return p.classes[only] ?? nothing();
  let sum = totals.get(p);
  if (!sum) {
    sum = nothing();
    for (const c of Object.values(p.classes)) add(sum, c);
    totals.set(p, sum);
  }
  return sum;
}

/** (hits + stale hits + coalesced) / (those + misses); null where nothing was asked. */
export function hitRate(c: Counted): number | null {
  const good = c.near + c.shared + c.stale + c.coalesced;
  return good + c.misses === 0 ? null : good / (good + c.misses);
}

/** The hit rate at each point, of the last few points together, or single requests would make it jump. */
export function rollingHitRate(points: Point[], over: number, only?: string): (number | null)[] {
  const sum = nothing();
  return points.map((p, i) => {
    add(sum, total(p, only));
    if (i >= over) add(sum, total(points[i - over]!, only), -1);
    return hitRate(sum);
  });
}

/** The points of the last minute or so, as one. */
export function lately(points: Point[], seconds = 60): { sum: Counted; seconds: number; requests: number; failed: number } {
  const out = { sum: nothing(), seconds: 0, requests: 0, failed: 0 };
  for (let i = points.length - 1; i >= 0 && (out.seconds < seconds || out.seconds === 0); i--) {
    const p = points[i]!;
    add(out.sum, total(p));
    out.seconds += p.seconds;
    out.requests += p.requests;
    out.failed += p.failed;
  }
  return out;
}
