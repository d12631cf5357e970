import { screen } from '@testing-library/react';
import { expect, it, vi } from 'vitest';
import { golden, show } from '../fixtures';
import { Classes } from './classes';
import { causesFirst, remedy, Verdict } from './verdict';
import { LogCard, NodesCard, SharedCard } from './tiers';

const { stats, health } = golden.overview;

it('says that all is well, and on which node', () => {
  show(<Verdict health={health} stats={stats} />);
  expect(screen.getByRole('status')).toHaveProperty('textContent', expect.stringMatching(/Everything works\..*Near tier only.*Node web-1, version v1/));
});

it('gives each reason with what to do, causes first', () => {
  const reasons = ['log: invalidations of other nodes may be missing', 'shared: nothing listens there'];
  show(<Verdict health={{ ...health, status: 'degraded', reasons }} stats={stats} />);
  const said = screen.getByRole('status').textContent ?? '';
  expect(said).toContain('It answers, with something missing.');
  expect(said.indexOf('nothing listens')).toBeLessThan(said.indexOf('may be missing'));
  expect(said).toContain('Look at Redis');
  expect(causesFirst(reasons)[0]).toBe(reasons[1]);
  for (const r of [...reasons, 'journal: 2 invalidations wait', 'class c: 20 of 20 loads failed', 'function f: its values', 'database: connection refused', 'near: the cache is closed: the process is stopping']) {
    expect(remedy(r), r).toBeTruthy();
  }
});

it('says nothing before it knows', () => {
  show(<Verdict />);
  expect(screen.getByText('No word from the node yet.')).toBeTruthy();
});

it('shows each class, no data as no data, and its warning', () => {
  const picked = vi.fn();
  show(<Classes stats={stats} names={Object.keys(stats.classes)} warnings={['class idle: no hit in 300 look-ups']} onPick={picked} />);
  const row = screen.getByRole('button', { name: 'idle' }).closest('tr')!;
  expect(row.textContent).toContain('no data');
  expect(row.textContent).toContain('no hit in 300 look-ups');
  screen.getByRole('button', { name: 'partner_data' }).click();
  expect(picked).toHaveBeenCalledWith('partner_data');
});

it('draws a tier that is not configured as such', () => {
  show(
    <>
      <SharedCard stats={stats} />
      <LogCard stats={stats} />
      <NodesCard stats={stats} />
    </>,
  );
  expect(screen.getByText(/Not configured/)).toBeTruthy();
  expect(screen.getByText('confirmed')).toBeTruthy();
  expect(screen.getByText('Without a shared tier each node is alone.')).toBeTruthy();
});

it('says why a shared tier cannot be used', () => {
  const shared = { usable: false, why: 'nothing listens there', breaker: 'open', connected: false, problem: 'nothing listens there', version: '', used_memory: 0, errors: 0, lookups: 0, latency_ms: { p50: null, p99: null }, queued: 0, dropped: 0, failed: 0, deferred: 0, unusable: {}, lost: {} };
  show(<SharedCard stats={{ ...stats, shared } as typeof stats} />);
  expect(screen.getByText('nothing listens there')).toBeTruthy();
  expect(screen.getByText('cannot be used')).toBeTruthy();
  expect(screen.getByText('no data, no data')).toBeTruthy();
});
