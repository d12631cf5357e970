import { Table, Text, UnstyledButton } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useMemo } from 'react';
import { Link, useSearchParams } from 'wouter';
import { ask, type Schemas } from '../api/client';
import { useNow } from '../api/live';
import { useMay } from '../api/overview';
import { bytes, count, ms, percent, perSecond, span } from '../format';
import { Card } from '../parts/card';
import { OperatorsOnly } from '../parts/operators-only';

type Route = Schemas['Route'];

interface Column {
  id: string;
  name: string;
  sorts: (r: Route) => number;
  shows: (r: Route) => React.ReactNode;
  bad?: (r: Route) => boolean;
}

const failed = (r: Route) => r.status['5xx'] ?? 0;
const refused = (r: Route) => r.status['4xx'] ?? 0;

const columns: Column[] = [
  { id: 'requests', name: 'Requests', sorts: (r) => r.requests, shows: (r) => perSecond(r.requests / Math.max(r.seconds, 1)) },
  { id: 'hit_rate', name: 'Hit rate', sorts: (r) => r.hit_rate ?? -1, shows: (r) => percent(r.hit_rate) },
  { id: 'hit_p99', name: 'Hit p99', sorts: (r) => r.hits.p99, shows: (r) => (r.hits.n > 0 ? ms(r.hits.p99) : '–') },
  { id: 'miss_p50', name: 'Miss p50', sorts: (r) => r.misses.p50, shows: (r) => (r.misses.n > 0 ? ms(r.misses.p50) : '–') },
  { id: 'miss_p99', name: 'Miss p99', sorts: (r) => r.misses.p99, shows: (r) => (r.misses.n > 0 ? ms(r.misses.p99) : '–') },
  { id: 'refused', name: '4xx', sorts: refused, shows: (r) => count(refused(r)) },
  { id: 'failed', name: '5xx', sorts: failed, shows: (r) => count(failed(r)), bad: (r) => failed(r) > 0 },
  { id: 'calls', name: 'Origin calls', sorts: (r) => r.origin_calls, shows: (r) => count(r.origin_calls) },
  { id: 'spared', name: 'Spared', sorts: (r) => r.origin_spared, shows: (r) => count(r.origin_spared) },
  { id: 'saved', name: 'Time saved', sorts: (r) => r.saved_seconds, shows: (r) => span(r.saved_seconds) },
  { id: 'cost', name: 'Cost saved', sorts: (r) => r.saved_cost ?? -1, shows: (r) => (r.saved_cost == null ? '–' : count(r.saved_cost)) },
  { id: 'bytes', name: 'Bytes', sorts: (r) => r.bytes, shows: (r) => bytes(r.bytes) },
];

/** What happens on each route: which are asked for, which hit, which are slow, and why answers are not stored. */
export default function RoutesPage() {
  const may = useMay();
  const paused = useNow((n) => n.status === 'paused');
  const [search, setSearch] = useSearchParams();
  const { data, error } = useQuery({
    queryKey: ['routes'],
    queryFn: () => ask<Route[]>('api/routes'),
    enabled: may?.operate === true,
    refetchInterval: paused ? false : 2000,
    placeholderData: (old) => old,
  });
  const by = columns.find((c) => c.id === search.get('sort')) ?? columns[0]!;
  const shown = columns.filter((c) => c.id !== 'cost' || data?.some((r) => r.saved_cost != null));
  const up = search.get('order') === 'up';
  const rows = useMemo(() => (data ?? []).toSorted((a, b) => (by.sorts(b) - by.sorts(a)) * (up ? -1 : 1) || a.route.localeCompare(b.route)), [data, by, up]);
  return (
    <OperatorsOnly title="Routes" why="Routes name paths">
      <Card title="The last minutes" right={<span className="soft" style={{ fontSize: '0.8rem' }}>five to ten</span>}>
        {error && <Text size="sm" className="state-away">{error.message}</Text>}
        {rows.length > 0 && (
          <div className="scroll" tabIndex={0} role="region" aria-label="Routes, a table that may be wider than the page">
            <Table className="numbers" verticalSpacing={5} highlightOnHover>
              <Table.Thead>
                <Table.Tr>
                  <Table.Th>Route</Table.Th>
                  {shown.map((c) => (
                    <Table.Th key={c.id} aria-sort={c === by ? (up ? 'ascending' : 'descending') : undefined}>
                      <UnstyledButton className="sorter" onClick={() => setSearch({ sort: c.id, order: c === by && !up ? 'up' : 'down' })}>
                        {c.name}
                        <span aria-hidden="true">{c === by ? (up ? ' ↑' : ' ↓') : ''}</span>
                      </UnstyledButton>
                    </Table.Th>
                  ))}
                </Table.Tr>
              </Table.Thead>
              <Table.Tbody>
                {rows.map((r) => (
                  <Table.Tr key={r.route} data-testid="route">
                    <Table.Td>
                      <span className="mono">{r.route}</span>
                      <Text size="xs" className="soft">
                        {reasons(r.not_stored)}
                        {may?.explain && explainable(r) && (
                          <>
                            {reasons(r.not_stored) && ' · '}
                            <Link href={`/activity?${new URLSearchParams({ explain: r.example, fields: fieldsOf(r) })}`}>explain</Link>
                          </>
                        )}
                      </Text>
                    </Table.Td>
                    {shown.map((c) => (
                      <Table.Td key={c.id} className={c.bad?.(r) ? 'state-away' : undefined}>
                        {c.shows(r)}
                      </Table.Td>
                    ))}
                  </Table.Tr>
                ))}
              </Table.Tbody>
            </Table>
          </div>
        )}
        {data && rows.length === 0 && <Text className="soft">No request in the last minutes.</Text>}
      </Card>
    </OperatorsOnly>
  );
}

const fieldsOf = (r: Route) => Object.entries(r.fields).map(([name, value]) => `${name}: ${value}`).join('\n');

/** What is of no rule and of no cache cannot be explained. */
const explainable = (r: Route) => r.example !== '' && Object.keys(r.outcomes).some((o) => o !== 'other');

/** Why answers were not stored, the most frequent first. */
function reasons(by: Record<string, number>): string {
  const all = Object.entries(by).toSorted((a, b) => b[1] - a[1]);
  return all.length === 0 ? '' : `not stored: ${all.map(([why, n]) => `${why} ${count(n)}`).join(', ')}`;
}
