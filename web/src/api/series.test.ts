import { expect, it } from 'vitest';
import { golden } from '../fixtures';
import { hitRate, join, lately, rollingHitRate, total } from './series';

const { points } = golden.series;

it('adds up to what the statistics say', () => {
  const sum = points.map((p) => total(p)).reduce((a, b) => ({ ...a, near: a.near + b.near, misses: a.misses + b.misses, loads: a.loads + b.loads }));
  const { hits, misses, loads, hit_rate } = golden.overview.stats;
  expect([sum.near, sum.misses, sum.loads]).toEqual([hits, misses, loads]);
  expect(hitRate(lately(points).sum)).toBe(hit_rate);
});

it('has no hit rate where nothing was asked', () => {
  const quiet = { ...points[0]!, classes: {} };
  expect(hitRate(total(quiet))).toBeNull();
  expect(rollingHitRate([quiet, quiet], 10)).toEqual([null, null]);
});

it('joins what comes later, once, and keeps no more than its bound', () => {
  const later = { ...points.at(-1)!, time: '2000-01-01T01:00:00Z' };
  expect(join(points, [points.at(-1)!, later], 600)).toHaveLength(points.length + 1);
  expect(join(points, [later], 2)).toEqual([points.at(-1), later]);
});
