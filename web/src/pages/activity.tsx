import { Button, SegmentedControl, Table, Text } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { memo, useDeferredValue, useEffect, useMemo, useState } from 'react';
import { useSearchParams } from 'wouter';
import { ask, type Item } from '../api/client';
import { useNow } from '../api/live';
import { useMay } from '../api/overview';
import { Edge } from '../activity/edge';
import { Explain } from '../activity/explain';
import { Invalidate } from '../activity/invalidate';
import { Card } from '../parts/card';
import { OperatorsOnly } from '../parts/operators-only';
import { Drill } from '../parts/drill';
import { moment } from '../format';

const kinds: Record<string, string[]> = {
  changes: ['verdict', 'configuration', 'tier', 'log', 'node', 'drill', 'audit'],
  invalidations: ['invalidation'],
  all: [],
  drills: ['drill'],
  audit: ['audit'],
};

const page = 50;

/** What happened, what operators did, and the form with which they invalidate. */
export default function ActivityPage() {
  const generation = useNow((n) => n.generation);
  const news = useNow((n) => n.live?.activity);
  const may = useMay();
  const [search, setSearch] = useSearchParams();
  const kind = search.get('kind') ?? 'changes'; // an invalidation a second would hide what matters
  const { data } = useQuery({
    queryKey: ['activity', generation],
    queryFn: () => ask<Item[]>('api/activity'),
    enabled: may?.operate === true,
    placeholderData: (old) => old,
  });
  const [items, setItems] = useState<Item[]>([]);
  useEffect(() => setItems((held) => merge(held, data ?? [])), [data]);
  useEffect(() => setItems((held) => merge(held, news ?? [])), [news]);
  const [most, setMost] = useState(page);
  const settled = useDeferredValue(items);
  const all = useMemo(() => {
    const only = kinds[kind] ?? [];
    return (only.length > 0 ? settled.filter((i) => only.includes(i.kind)) : settled).toReversed();
  }, [settled, kind]);
  const shown = all.slice(0, most);
  return (
    <OperatorsOnly title="Activity" why="What happened names keys">
      <div className={may?.explain ? 'charts' : undefined}>
        {!may || may.change ? <Invalidate /> : <Card title="Invalidate"><Text size="sm">{may?.why}</Text></Card>}
        {may?.explain && <Explain />}
      </div>
      <Drill />
      <Edge />
      <Card
        title="What happened"
        right={
          <SegmentedControl
            size="xs"
            aria-label="Which kind"
            value={kind in kinds ? kind : 'changes'}
            onChange={(v) => setSearch(v === 'changes' ? {} : { kind: v })}
            data={Object.keys(kinds).map((k) => ({ value: k, label: k[0]!.toUpperCase() + k.slice(1) }))}
          />
        }
      >
        {shown.length === 0 ? (
          <Text className="soft">Nothing of this kind since this node was started.</Text>
        ) : (
          <div className="scroll" tabIndex={0} role="region" aria-label="What happened, the newest first">
            <Table verticalSpacing={4} data-testid="activity">
              <Table.Thead>
                <Table.Tr>
                  <Table.Th>When</Table.Th>
                  <Table.Th>What</Table.Th>
                  <Table.Th>Target</Table.Th>
                  <Table.Th>Receipt</Table.Th>
                  <Table.Th>By</Table.Th>
                </Table.Tr>
              </Table.Thead>
              <Table.Tbody>
                {shown.map((i) => (
                  <Row key={idOf(i)} item={i} />
                ))}
              </Table.Tbody>
            </Table>
          </div>
        )}
        {all.length > most && (
          <Button size="xs" variant="default" mt="xs" onClick={() => setMost(most + 4 * page)}>
            Show more of {all.length}
          </Button>
        )}
      </Card>
    </OperatorsOnly>
  );
}

const Row = memo(
  function Row({ item: i }: { item: Item }) {
    return (
      <Table.Tr>
        <Table.Td style={{ whiteSpace: 'nowrap' }}>{moment(i.time)}</Table.Td>
        <Table.Td>
          {i.kind === 'audit' ? <strong>{i.text}</strong> : i.text}
          {i.mode === 'expire' && ' (may be served stale)'}
          {i.count > 1 && <span className="soft"> × {i.count}</span>}
        </Table.Td>
        <Table.Td className="mono">{i.target}</Table.Td>
        <Table.Td className="mono">{i.deferred ? <span className="state-degraded">deferred</span> : i.receipt}</Table.Td>
        <Table.Td>
          {i.node && <span className="soft">{i.node}: </span>}
          {i.by || (i.kind === 'invalidation' ? (i.here ? 'this node' : 'another node') : '')}
        </Table.Td>
      </Table.Tr>
    );
  },
  (a, b) => idOf(a.item) === idOf(b.item) && a.item.count === b.item.count,
);

const idOf = (i: Item) => `${i.node ?? ''}/${i.seq}`; // nodes count by themselves

/** The later word on an item counts: it may have counted up. */
export function merge(held: Item[], news: Item[]): Item[] {
  if (news.length === 0) return held;
  const all = new Map(held.map((i) => [idOf(i), i]));
  for (const i of news) all.set(idOf(i), i);
  const sorted = [...all.values()].sort((a, b) => Date.parse(a.time) - Date.parse(b.time) || a.seq - b.seq);
  return sorted.filter((i, n) => n >= sorted.length - 1000 || i.kind !== 'invalidation').slice(-2000);
}
