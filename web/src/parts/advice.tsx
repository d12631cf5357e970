import { Table, Text } from '@mantine/core';
import type { Stats } from '../api/client';
import { count } from '../format';
import { Card } from './card';

/** Routes that are not cached only because nobody says for how long: of a gateway. */
export function Advice({ stats }: { stats?: Stats }) {
  const routes = stats?.advice ?? [];
  if (routes.length === 0) return null;
  return (
    <Card title="Could be cached">
      <Text size="sm" mb={6}>
        These routes are not cached only because their origin does not say for how long. The flag would.
      </Text>
      <div className="scroll" tabIndex={0} role="region" aria-label="Routes that could be cached">
        <Table className="numbers" verticalSpacing={3}>
          <Table.Thead>
            <Table.Tr>
              <Table.Th>Flag</Table.Th>
              <Table.Th>Answers</Table.Th>
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {routes.slice(0, 10).map((a) => (
              <Table.Tr key={a.route}>
                <Table.Td>
                  <span className="mono">{a.flag}</span>
                  {a.credentials > 0 && (
                    <Text size="xs" className="state-degraded">
                      {count(a.credentials)} asked for with a cookie or credentials: each caller would have an entry of its own
                    </Text>
                  )}
                </Table.Td>
                <Table.Td>{count(a.answers)}</Table.Td>
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
      </div>
    </Card>
  );
}
