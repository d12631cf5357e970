import { screen, within } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { expect, it } from 'vitest';
import { golden, serve, show } from '../fixtures';
import EntriesPage from './entries';
import NodesPage from './nodes';
import RoutesPage from './routes';

const none = { n: 0, p50: 0, p95: 0, p99: 0 };
const route = (name: string, more: object) => ({
  route: name, rule: true, example: 'http://a.test/x', fields: { Accept: 'text/html' }, seconds: 100, requests: 10, outcomes: { miss: 10 }, hit_rate: null, status: { '2xx': 10 }, hits: none, misses: none, not_stored: {},
  bytes: 0, origin_calls: 0, origin_spared: 0, saved_seconds: 0, ...more,
});
const may = (more: object) => ({ ...golden.overview, may: { ...golden.overview.may, operate: true, explain: true, ...more } });
const names = () => screen.getAllByTestId('route').map((r) => within(r).getAllByRole('cell')[0]!.querySelector('.mono')!.textContent);

it('shows each route with why its answers are not stored, and sorts them', async () => {
  serve({
    'api/overview': may({}),
    'api/routes': [
      route('GET /a', { requests: 200, hit_rate: 0.5, not_stored: { private: 1, 'set-cookie': 7 }, status: { '2xx': 190, '5xx': 10 } }),
      route('GET /b', { requests: 50, misses: { n: 50, p50: 900, p95: 950, p99: 990 }, outcomes: { other: 50 } }),
    ],
  });
  const user = userEvent.setup();
  show(<RoutesPage />);
  await screen.findAllByTestId('route');
  expect(names()).toEqual(['GET /a', 'GET /b']);
  const [a, b] = screen.getAllByTestId('route').map((r) => r.textContent ?? '');
  expect(a).toContain('not stored: set-cookie 7, private 1');
  expect(a).toContain('50');
  expect(within(screen.getAllByTestId('route')[0]!).getByRole('link', { name: 'explain' }).getAttribute('href')).toBe('/activity?explain=http%3A%2F%2Fa.test%2Fx&fields=Accept%3A+text%2Fhtml');
  expect(b).toContain('no data');
  expect(b).not.toContain('explain');
  await user.click(screen.getByRole('button', { name: /Miss p99/ }));
  expect(names()).toEqual(['GET /b', 'GET /a']);
  await user.click(screen.getByRole('button', { name: /Miss p99/ }));
  expect(names()).toEqual(['GET /a', 'GET /b']);
});

it('shows the nodes side by side, and says since when one is unknown', async () => {
  const node = { self: false, state: 'ok', seen_seconds: 1, causes: [], version: 'v1', uptime_seconds: 90, lookups_per_second: 2, hit_rate: 0.5, near_bytes: 1024, near_max_bytes: 2048, lag_ms: 3, confirmed: true, hears: ['b'] };
  serve({ 'api/overview': may({}), 'api/nodes': [{ ...node, name: 'a', self: true }, { ...node, name: 'b', state: 'unknown', seen_seconds: 42, address: 'http://b:9191', causes: ['log: behind'] }] });
  show(<NodesPage />);
  const [a, b] = await screen.findAllByTestId('node');
  expect(a!.textContent).toContain('(this one)');
  expect(a!.textContent).toContain('50.0 %');
  expect(b!.textContent).toContain('unknown for 42 s');
  expect(b!.textContent).toContain('log: behind');
  expect(within(b!).getByRole('link').getAttribute('href')).toBe('http://b:9191');
});

it('says who may see routes, entries and nodes', async () => {
  serve({ 'api/overview': may({ operate: false, why: 'give the token' }) });
  show(
    <>
      <RoutesPage />
      <EntriesPage />
      <NodesPage />
    </>,
  );
  expect(await screen.findAllByText(/give the token/)).toHaveLength(3);
});

it('lists entries, searches among them, and removes one', async () => {
  const sent = serve({ 'api/overview': may({}), 'api/entries': golden.entries, 'api/invalidate': { id: '1-0' } });
  const user = userEvent.setup();
  show(<EntriesPage />);
  const first = (await screen.findAllByTestId('entry'))[0]!;
  await user.type(screen.getByLabelText('Key holds'), 'x');
  await user.click(within(first).getByRole('button', { name: /^Remove/ }));
  await screen.findAllByTestId('entry');
  expect(sent.some((s) => s.path.includes('holds=x'))).toBe(true);
  expect(sent.find((s) => s.method === 'POST')?.body).toEqual({ key: golden.entries.entries![0]!.key });
});
