import { Button, Group, Select, Table, Text } from '@mantine/core';
import { useMutation } from '@tanstack/react-query';
import { useState } from 'react';
import { post, type Report } from '../api/client';
import { useMay } from '../api/overview';
import { ms, percent } from '../format';
import { Card } from './card';
import { Failure } from './failure';

const times = [
  { value: '5', label: '5 seconds' },
  { value: '10', label: '10 seconds' },
  { value: '30', label: '30 seconds' },
];

/** Takes the shared tier away on purpose, and shows what that did. */
export function Drill() {
  const may = useMay();
  const [seconds, setSeconds] = useState('5');
  const drill = useMutation({
    mutationFn: () => post<Report>('api/drill', { tier: 'redis', for: `${seconds}s` }, (Number(seconds) * 3 + 30) * 1000),
  });
  if (!may) return null;
  const why = !may.change ? may.why : !may.drills ? 'Drills are not enabled on this node: start it with --drills, and with a shared tier.' : undefined;
  return (
    <Card title="Take Redis away">
      {why ? (
        <Text size="sm">{why}</Text>
      ) : (
        <>
          <Text size="sm" mb={8}>
            This node goes on without its shared tier for a while; it measures the same time before, during and after it. Nothing is lost: invalidations wait, and are told when it is back.
          </Text>
          <Group gap="xs" align="end">
            <Select label="For" data={times} value={seconds} onChange={(v) => setSeconds(v ?? '5')} w={140} allowDeselect={false} />
            <Button color="red" onClick={() => drill.mutate()} loading={drill.isPending}>
              Take Redis away
            </Button>
            {drill.isPending && (
              <Text size="sm" role="status">
                It takes {Number(seconds) * 3} seconds: look at the other pages meanwhile.
              </Text>
            )}
          </Group>
          <Failure error={drill.error} />
          {drill.data && <Outcome report={drill.data} />}
        </>
      )}
    </Card>
  );
}

function Outcome({ report }: { report: Report }) {
  const phases = [
    ['Before', report.before],
    ['Without Redis', report.during],
    ['After', report.after],
  ] as const;
  return (
    <div className="scroll" tabIndex={0} role="region" aria-label="What the drill did" data-testid="drill-report">
      <Table className="numbers" mt={8} verticalSpacing={3}>
        <Table.Thead>
          <Table.Tr>
            {['', 'Requests', 'Failed', 'p50', 'p99', 'Hit rate', 'Loads'].map((h) => (
              <Table.Th key={h}>{h}</Table.Th>
            ))}
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {phases.map(([name, p]) => (
            <Table.Tr key={name}>
              <Table.Td>{name}</Table.Td>
              <Table.Td>{p.requests}</Table.Td>
              <Table.Td>{p.failed}</Table.Td>
              <Table.Td>{p.requests > 0 ? ms(p.p50_ns / 1e6) : 'no data'}</Table.Td>
              <Table.Td>{p.requests > 0 ? ms(p.p99_ns / 1e6) : 'no data'}</Table.Td>
              <Table.Td>{p.requests > 0 ? percent(p.hit_rate) : 'no data'}</Table.Td>
              <Table.Td>{p.loads}</Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
      <Text size="sm" mt={4}>
        Said to be degraded after {report.degraded_in_ns < 0 ? 'never' : ms(report.degraded_in_ns / 1e6)}; well again {report.healed_in_ns < 0 ? 'not yet' : `${ms(report.healed_in_ns / 1e6)} after it was back`}.
      </Text>
    </div>
  );
}
