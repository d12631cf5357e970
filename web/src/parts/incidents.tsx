import { Table, Text } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useMemo } from 'react';
import { ask, type Schemas } from '../api/client';
import { useNow } from '../api/live';
import { useHealth } from '../api/overview';
import { clock, moment, span } from '../format';
import { Card } from './card';
import type { Shade } from './chart';

type Incident = Schemas['Incident'];

/** What was and is wrong, the latest first; asked for again as soon as the verdict changes. */
export function useIncidents(): Incident[] | undefined {
  const causes = useHealth()?.causes?.map((c) => c.check + c.since).join(' ') ?? '';
  const paused = useNow((n) => n.status === 'paused');
  return useQuery({
    queryKey: ['incidents', causes],
    queryFn: () => ask<Incident[]>('api/incidents'),
    refetchInterval: paused ? false : 10_000,
    placeholderData: (old) => old,
  }).data;
}

/** The times of incidents, for the charts. Warnings are not shaded: it works meanwhile. */
export function useShades(now: number): Shade[] {
  const incidents = useIncidents();
  return useMemo(
    () =>
      (incidents ?? [])
        .filter((i) => !i.warning)
        .map((i) => ({
          from: Date.parse(i.since) / 1000,
          to: i.until ? Date.parse(i.until) / 1000 : now,
          text: `${i.check}, ${clock(i.since)} to ${i.until ? clock(i.until) : 'now'}`,
        })),
    [incidents, now],
  );
}

const shown = 10;

/** What was wrong lately, for how long, and what it touched. */
export function Incidents() {
  const incidents = useIncidents();
  return (
    <Card title="Incidents" right={<span className="soft" style={{ fontSize: '0.8rem' }}>since this node was started</span>}>
      {incidents?.length === 0 && <Text className="soft" size="sm">None.</Text>}
      {incidents && incidents.length > 0 && (
        <div className="scroll" tabIndex={0} role="region" aria-label="Incidents, the latest first">
          <Table className="numbers" verticalSpacing={4}>
            <Table.Thead>
              <Table.Tr>
                <Table.Th>What</Table.Th>
                <Table.Th>Since</Table.Th>
                <Table.Th>For</Table.Th>
              </Table.Tr>
            </Table.Thead>
            <Table.Tbody>
              {incidents.slice(0, shown).map((i) => (
                <Table.Tr key={i.check + i.since + i.reason + (i.until ?? '')} data-testid="incident">
                  <Table.Td>
                    <span className={i.warning ? 'state-degraded' : 'state-away'}>{i.check}</span>: {i.reason}
                    {i.impact && <Text size="xs" className="soft">{i.impact}</Text>}
                  </Table.Td>
                  <Table.Td>{moment(i.since)}</Table.Td>
                  <Table.Td>{i.until ? span((Date.parse(i.until) - Date.parse(i.since)) / 1000) : 'lasts'}</Table.Td>
                </Table.Tr>
              ))}
            </Table.Tbody>
          </Table>
        </div>
      )}
    </Card>
  );
}
