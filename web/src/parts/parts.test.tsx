import { screen } from '@testing-library/react';
import { expect, it, vi } from 'vitest';
import { golden, show } from '../fixtures';
import { Classes } from './classes';
import { Verdict } from './verdict';
import { LogCard, NodesCard, SharedCard } from './tiers';

const { stats, health } = golden.overview;

it('says that all is well, and on which node', () => {
  show(<Verdict health={health} stats={stats} />);
  expect(screen.getByRole('status')).toHaveProperty('textContent', expect.stringMatching(/Everything works\..*Near tier only.*Node web-1, version v1/));
});

it('gives each cause with since when, what it touches and what to do', () => {
  const since = '2026-11-28T16:29:48Z';
  const causes = [
    { check: 'shared', reason: 'nothing listens there', since, do: 'start Redis' },
    { check: 'class search', reason: 'calls of its origin fail', since, impact: '412 of 440 since 16:29:48 UTC', do: 'look at its origin' },
  ];
  show(<Verdict health={{ ...health, status: 'degraded', causes }} stats={stats} />);
  const said = screen.getByRole('status').textContent ?? '';
  expect(said).toContain('It answers, with something missing.');
  expect(said).toMatch(/shared: nothing listens there since .*What to do: start Redis\./);
  expect(said).toContain('412 of 440');
});

it('is not all green where something does not help', () => {
  const causes = [{ check: 'class c', reason: 'no hit in 300 look-ups', since: '2026-11-28T16:29:48Z', warning: true }];
  show(<Verdict health={{ ...health, causes }} stats={stats} />);
  expect(screen.getByRole('status').textContent).toContain('with warnings');
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
