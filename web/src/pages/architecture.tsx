import '@xyflow/react/dist/style.css';
import { Stack, Table, Text, Title } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useCallback, useDeferredValue } from 'react';
import { useSearchParams } from 'wouter';
import { ask, type Topology } from '../api/client';
import { useNow } from '../api/live';
import { Follow, usePlayback } from '../architecture/follow';
import { PartDrawer } from '../architecture/part';
import { Picture, PictureToCome } from '../architecture/picture';
import { Card } from '../parts/card';
import { perSecond } from '../format';

/** The parts as they are connected now, and what flows between them. */
export default function ArchitecturePage() {
  const generation = useNow((n) => n.generation);
  const [search, setSearch] = useSearchParams();
  const { data } = useQuery({ queryKey: ['topology', generation], queryFn: () => ask<Topology>('api/topology'), placeholderData: (old) => old });
  const topology = useDeferredValue(useNow((n) => n.live?.topology)) ?? data;
  const picked = search.get('part');
  const set = useCallback(
    (name: string, value?: string) =>
      setSearch((old) => {
        const next = new URLSearchParams(old);
        if (value) next.set(name, value);
        else next.delete(name);
        return next;
      }),
    [setSearch],
  );
  const open = useCallback((id: string) => set('part', id), [set]);
  const playback = usePlayback();
  const part = topology?.parts.find((p) => p.id === picked);
  return (
    <Stack gap="md">
      <div>
        <Title order={1}>Architecture</Title>
        <Text size="sm" className="soft">
          As it is connected now. The wider an edge, the more flows through it; it stands still where nothing does. Each part opens its figures.
        </Text>
      </div>
      {topology ? <Picture topology={topology} lit={playback.lit} note={playback.note} onPick={open} /> : <PictureToCome />}
      <PartDrawer part={part} edges={topology?.edges ?? []} onClose={() => set('part')} />
      <Follow playback={playback} picked={search.get('request') ?? undefined} onPick={(id) => set('request', id)} />
      <Card title="What flows">
        <div className="scroll" tabIndex={0} role="region" aria-label="What flows between the parts">
          <Table verticalSpacing={4}>
            <Table.Thead>
              <Table.Tr>
                <Table.Th>From</Table.Th>
                <Table.Th>To</Table.Th>
                <Table.Th style={{ textAlign: 'right' }}>Rate</Table.Th>
                <Table.Th>What</Table.Th>
                <Table.Th>State</Table.Th>
              </Table.Tr>
            </Table.Thead>
            <Table.Tbody>
              {topology?.edges.map((e) => (
                <Table.Tr key={`${e.from}-${e.to}`}>
                  <Table.Td>{nameOf(topology, e.from)}</Table.Td>
                  <Table.Td>{nameOf(topology, e.to)}</Table.Td>
                  <Table.Td style={{ textAlign: 'right' }}>{e.what ? perSecond(e.rate) : ''}</Table.Td>
                  <Table.Td>{e.what || 'signs of life'}</Table.Td>
                  <Table.Td className={`state-${e.state}`}>{states[e.state] ?? e.state}</Table.Td>
                </Table.Tr>
              ))}
            </Table.Tbody>
          </Table>
        </div>
      </Card>
    </Stack>
  );
}

export const states: Record<string, string> = { ok: 'works', degraded: 'works in part', away: 'away', off: 'not in use' };

const nameOf = (t: Topology, id: string) => t.parts.find((p) => p.id === id)?.name ?? id;
