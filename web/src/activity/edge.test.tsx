import { screen, waitFor } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { expect, it } from 'vitest';
import { golden, serve, show } from '../fixtures';
import { Audit } from '../parts/audit';
import { Edge } from './edge';
import { Followed } from './followed';

const turn = { id: '5-0', first: '4-0', tags: 2, purges: ['P1', 'P2'], nodes: [{ node: 'a', at: '2026-11-26T10:00:00.1Z' }, { node: 'b' }], begun: '2026-11-26T10:00:00Z', purged: '2026-11-26T10:00:00.2Z', done: '2026-11-26T10:00:01.2Z', probe: { url: 'https://www.example/', at: '2026-11-26T10:00:01.3Z', new: true } };

it('shows what the CDN has refused, and has it purged again', async () => {
  const dead = [{ first: '1-0', id: '2-0', tags: ['x', 'y'], reason: 'the CDN refuses the purge: 403 Forbidden', since: '2026-11-26T10:00:00Z' }];
  const sent = serve({ 'api/overview': golden.overview, 'api/edge': { vendor: 'fastly', place: '5-0', waiting: false, leads: true, problem: '403', since: '2026-11-26T10:00:00Z', turns: [turn], dead, ended: 3, failed: 1 }, 'api/edge/retry': { tags: 2 } });
  const user = userEvent.setup();
  show(<Edge />);
  expect((await screen.findByTestId('edge-state')).textContent).toContain('403');
  expect(screen.getByText(/2 tags\. the CDN refuses the purge/)).toBeTruthy();
  expect(screen.getByTestId('edge-turns').textContent).toContain('1 of 2');
  await user.click(screen.getByRole('button', { name: 'Purge again' }));
  await waitFor(() => expect(sent.some((s) => s.path === 'api/edge/retry' && s.method === 'POST')).toBe(true));
});

it('shows nothing where nothing is purged', async () => {
  serve({ 'api/overview': golden.overview, 'api/edge': { waiting: false, leads: false, turns: [], dead: [], ended: 0, failed: 0 } });
  show(<Edge />);
  await waitFor(() => expect(screen.queryByText('The CDN above')).toBeNull());
});

it('follows an invalidation to the nodes, the CDN and a probe', async () => {
  serve({ 'api/receipts/5-0': { id: '5-0', state: 'purged', nodes: turn.nodes, turn } });
  show(<Followed id="5-0" />);
  const said = (await screen.findByTestId('followed')).textContent!;
  for (const part of ['Applied by a at', 'b has not said yet', 'Purged at the CDN at', 'P1, P2', 'A probe has seen the new answer']) expect(said).toContain(part);
});

it('says what an audit has found, and how to begin one', async () => {
  serve({ 'api/overview': golden.overview, 'api/audit': { running: true, found: { since: '2026-11-26T10:00:00Z', at: '2026-11-26T10:01:00Z', invalidations: 9, audited: 5, counts: [{ tier: 'node', after: '10s', checked: 10, violations: 1, failed: 0 }], latest: [{ place: 'b', tier: 'node', target: 'tag x', id: '5-0', after: '10s', what: 'c:k', age_seconds: 12, at: '2026-11-26T10:00:30Z' }] } } });
  show(<Audit />);
  expect((await screen.findByTestId('audit-state')).textContent).toBe('5 of 9 invalidations were audited; 1 times a cache served what was removed.');
  expect(screen.getByText(/b served/).textContent).toContain('12 s old, 10s after tag x was removed');
});
