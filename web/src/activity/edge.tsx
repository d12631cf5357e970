import { Button, Group, Table, Text } from '@mantine/core';
import { useMutation, useQuery } from '@tanstack/react-query';
import { ask, post, type CDN } from '../api/client';
import { useMay } from '../api/overview';
import { exact, moment } from '../format';
import { Card } from '../parts/card';
import { Failure } from '../parts/failure';

/** The CDN above: how far it is purged, and what it has refused. Nothing where there is none. */
export function Edge() {
  const may = useMay();
  const { data, error, refetch } = useQuery({
    queryKey: ['edge'],
    queryFn: () => ask<CDN>('api/edge'),
    enabled: may?.operate === true,
    refetchInterval: (q) => (q.state.data?.vendor ? 2000 : false),
    retry: false,
  });
  const retry = useMutation({ mutationFn: () => post('api/edge/retry', {}), onSuccess: () => refetch() });
  if (error) {
    return (
      <Card title="The CDN above">
        <Failure error={error} />
      </Card>
    );
  }
  if (!data?.vendor) return null;
  const turns = data.turns ?? [];
  const dead = data.dead ?? [];
  return (
    <Card title="The CDN above" right={<Text size="sm" className="soft">{data.vendor}</Text>}>
      <Text size="sm" role="status" data-testid="edge-state" className={data.problem ? 'state-degraded' : undefined}>
        {data.problem ? `Since ${moment(data.since!)}: ${data.problem}` : data.waiting ? 'It is being purged.' : 'It is purged of everything that was invalidated.'}
        {data.leads && ' This node makes the purges.'}
      </Text>
      {dead.map((d) => (
        <Group key={d.first} gap="xs" mt={6}>
          <Text size="sm" className="state-away">
            Refused since {moment(d.since)}: {d.tags!.length} tags. {d.reason}
          </Text>
          {may?.change && (
            <Button size="compact-xs" variant="default" onClick={() => retry.mutate()} loading={retry.isPending}>
              Purge again
            </Button>
          )}
        </Group>
      ))}
      <Failure error={retry.error} />
      {turns.length === 0 ? (
        <Text size="sm" className="soft" mt={6}>
          Nothing was purged yet.
        </Text>
      ) : (
        <div className="scroll" tabIndex={0} role="region" aria-label="The latest purges">
          <Table mt={8} verticalSpacing={3} data-testid="edge-turns">
            <Table.Thead>
              <Table.Tr>
                {['Up to', 'Tags', 'Nodes had it', 'Purged', 'And again', 'Probe'].map((h) => (
                  <Table.Th key={h}>{h}</Table.Th>
                ))}
              </Table.Tr>
            </Table.Thead>
            <Table.Tbody>
              {turns.slice(0, 8).map((t) => (
                <Table.Tr key={t.id}>
                  <Table.Td className="mono">{t.id}</Table.Td>
                  <Table.Td>{t.tags}</Table.Td>
                  <Table.Td>{`${(t.nodes ?? []).filter((n) => n.at).length} of ${(t.nodes ?? []).length}`}</Table.Td>
                  <Table.Td>{t.purged ? exact(t.purged) : 'refused'}</Table.Td>
                  <Table.Td>{t.done ? exact(t.done) : ''}</Table.Td>
                  <Table.Td>{!t.probe ? 'no probe' : t.probe.new ? 'new answer' : <span className="state-degraded">not the new answer</span>}</Table.Td>
                </Table.Tr>
              ))}
            </Table.Tbody>
          </Table>
        </div>
      )}
    </Card>
  );
}
