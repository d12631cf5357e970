import { Table, Text } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { ask, type Schemas } from '../api/client';
import { useNow } from '../api/live';
import { useMay } from '../api/overview';
import { bytes, ms, percent, perSecond, span } from '../format';
import { Audit } from '../parts/audit';
import { Card } from '../parts/card';
import { OperatorsOnly } from '../parts/operators-only';

type Node = Schemas['Node'];

const looks: Record<Node['state'], string> = { ok: 'ok', degraded: 'degraded', unhealthy: 'away', unknown: 'off' };

/** All nodes on the log, side by side: which is in trouble, and whom it hears. */
export default function NodesPage() {
  const may = useMay();
  const paused = useNow((n) => n.status === 'paused');
  const { data, error } = useQuery({
    queryKey: ['nodes'],
    queryFn: () => ask<Node[]>('api/nodes'),
    enabled: may?.operate === true,
    refetchInterval: paused ? false : 2000,
    placeholderData: (old) => old,
  });
  const nodes = data ?? [];
  return (
    <OperatorsOnly title="Nodes" why="Nodes are named with their addresses">
      <Card title="On the same log" right={<span className="soft" style={{ fontSize: '0.8rem' }}>figures of the last minute</span>}>
        {error && <Text size="sm" className="state-away">{error.message}</Text>}
        {nodes.length > 0 && (
          <div className="scroll" tabIndex={0} role="region" aria-label="Nodes, a table that may be wider than the page">
            <Table className="numbers" verticalSpacing={5}>
              <Table.Thead>
                <Table.Tr>
                  {['Node', 'State', 'Look-ups', 'Hit rate', 'Near tier', 'Log checked', 'Hears', 'Up', 'Version'].map((name) => (
                    <Table.Th key={name}>{name}</Table.Th>
                  ))}
                </Table.Tr>
              </Table.Thead>
              <Table.Tbody>
                {nodes.map((n) => (
                  <Row key={n.name} n={n} others={nodes.length - 1} />
                ))}
              </Table.Tbody>
            </Table>
          </div>
        )}
        {nodes.length === 1 && <Text size="sm" className="soft">No other node was heard of in the last ten minutes.</Text>}
      </Card>
      <Audit />
    </OperatorsOnly>
  );
}

function Row({ n, others }: { n: Node; others: number }) {
  const known = n.state !== 'unknown';
  return (
    <Table.Tr data-testid="node" data-state={n.state}>
      <Table.Td>
        {n.address && !n.self ? <a href={n.address}>{n.name}</a> : n.name}
        {n.self && <span className="soft"> (this one)</span>}
        {(n.causes ?? []).map((c) => (
          <Text key={c} size="xs" className="state-degraded" maw={420}>
            {c}
          </Text>
        ))}
      </Table.Td>
      <Table.Td>
        <span className={`state-${looks[n.state]}`}>{known ? n.state : `unknown for ${span(n.seen_seconds)}`}</span>
      </Table.Td>
      <Table.Td>{known ? perSecond(n.lookups_per_second) : '–'}</Table.Td>
      <Table.Td>{known ? percent(n.hit_rate) : '–'}</Table.Td>
      <Table.Td>{n.near_max_bytes > 0 ? `${bytes(n.near_bytes)} of ${bytes(n.near_max_bytes)}` : '–'}</Table.Td>
      <Table.Td>{known ? (n.confirmed ? `${ms(n.lag_ms)} ago` : 'may lack some') : '–'}</Table.Td>
      <Table.Td title={(n.hears ?? []).join(', ')}>{known ? `${n.hears!.length} of ${others}` : '–'}</Table.Td>
      <Table.Td>{n.uptime_seconds > 0 ? span(n.uptime_seconds) : '–'}</Table.Td>
      <Table.Td>{n.version || '–'}</Table.Td>
    </Table.Tr>
  );
}
