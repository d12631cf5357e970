import { Table, Text } from '@mantine/core';
import type { Schemas, Stats } from '../api/client';
import { count } from '../format';
import { Card } from './card';

const looks: Record<Schemas['Advice']['safe'], string> = { yes: 'state-ok', careful: 'state-degraded', no: 'state-away', unknown: '' };

/** What the judgement rests on. */
function seen(a: Schemas['Advice']): string {
  return [
    a.compared > 0 && `${count(a.compared)} repeated answers compared, ${count(a.differing)} differed`,
    a.by_caller > 0 && `${count(a.by_caller)} differed by caller`,
    a.cookies > 0 && `${count(a.cookies)} set a cookie`,
    a.credentials > 0 && `${count(a.credentials)} asked for with a cookie or credentials`,
    (a.vary ?? []).length > 0 && `varies on ${a.vary!.join(', ')}`,
  ]
    .filter(Boolean)
    .join('; ');
}

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
              <Table.Th>Safe?</Table.Th>
              <Table.Th>Answers</Table.Th>
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {routes.slice(0, 10).map((a) => (
              <Table.Tr key={a.route}>
                <Table.Td>
                  <span className="mono">{a.flag}</span>
                  <Text size="xs" className="soft">
                    {seen(a)}
                  </Text>
                </Table.Td>
                <Table.Td className={looks[a.safe]}>
                  {a.safe}
                  <Text size="xs" className="soft">
                    {a.why}
                  </Text>
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
