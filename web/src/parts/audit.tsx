import { Table, Text } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { ask, type Schemas } from '../api/client';
import { useMay } from '../api/overview';
import { moment, span } from '../format';
import { Card } from './card';
import { Failure } from './failure';

/** What an audit has found: whether caches served what was removed. */
export function Audit() {
  const may = useMay();
  const { data: audit, error } = useQuery({
    queryKey: ['audit'],
    queryFn: () => ask<Schemas['Audit']>('api/audit'),
    enabled: may?.operate === true,
    refetchInterval: (q) => (q.state.data?.running ? 2000 : 30_000),
    retry: false,
  });
  if (error) {
    return (
      <Card title="Audit">
        <Failure error={error} />
      </Card>
    );
  }
  if (!audit) return null;
  const data = audit.found;
  if (!data) {
    return (
      <Card title="Audit">
        <Text size="sm" className="soft">
          No audit runs. “forebay audit” asks the nodes, and URLs through a CDN, whether they serve what was removed.
        </Text>
      </Card>
    );
  }
  const counts = data.counts ?? [];
  const latest = data.latest ?? [];
  return (
    <Card title="Audit" right={<Text size="sm" className="soft">{audit.running ? `since ${moment(data.since)}` : `ended ${moment(data.at)}`}</Text>}>
      <Text size="sm" data-testid="audit-state" className={latest.length > 0 ? 'state-away' : undefined}>
        {data.audited} of {data.invalidations} invalidations were audited; {latest.length === 0 ? 'no cache served what was removed' : `${counts.reduce((n, c) => n + c.violations, 0)} times a cache served what was removed`}.
      </Text>
      {counts.length > 0 && (
        <div className="scroll" tabIndex={0} role="region" aria-label="Checks of the audit">
          <Table className="numbers" mt={8} verticalSpacing={3}>
            <Table.Thead>
              <Table.Tr>
                {['Cache', 'After', 'Asked', 'Violations', 'No answer'].map((h) => (
                  <Table.Th key={h}>{h}</Table.Th>
                ))}
              </Table.Tr>
            </Table.Thead>
            <Table.Tbody>
              {counts.map((c) => (
                <Table.Tr key={c.tier + c.after}>
                  <Table.Td>{c.tier}</Table.Td>
                  <Table.Td>{c.after}</Table.Td>
                  <Table.Td>{c.checked}</Table.Td>
                  <Table.Td className={c.violations > 0 ? 'state-away' : undefined}>{c.violations}</Table.Td>
                  <Table.Td>{c.failed}</Table.Td>
                </Table.Tr>
              ))}
            </Table.Tbody>
          </Table>
        </div>
      )}
      {latest.slice(0, 5).map((v) => (
        <Text size="sm" key={v.id + v.place + v.after} mt={4}>
          {moment(v.at)}: {v.place} served <span className="mono">{v.what}</span>, {span(v.age_seconds)} old, {v.after} after {v.target} was removed
        </Text>
      ))}
    </Card>
  );
}
