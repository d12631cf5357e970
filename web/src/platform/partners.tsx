import { Button, Group, Select, Table, Text } from '@mantine/core';
import { useMutation, useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { Card } from '../parts/card';
import { Failure } from '../parts/failure';
import { call, send } from './call';
import { CameBadge } from './came-badge';
import { orgs } from './orgs';

interface Partner {
  id: string;
  name: string;
  industry: string;
  status: string;
  updated_at: string;
}

const most = 6;

/** Partners, with an edit that invalidates: the next answer is a miss, and shows the change. */
export function Partners() {
  const [org, setOrg] = useState('acme');
  const list = useQuery({
    queryKey: ['partners', org],
    queryFn: () => call<{ count: number; partners: Partner[] }>(`api/partners?org_id=${org}`),
    staleTime: 0,
  });
  const edit = useMutation({
    mutationFn: (p: Partner) => send<Partner>('PUT', `api/partners/${p.id}`, { status: p.status === 'active' ? 'paused' : 'active' }),
    onSuccess: () => list.refetch(),
  });
  const shown = list.data?.body.partners.slice(0, most) ?? [];
  return (
    <Card title="Partners" right={<Text size="sm" className="soft">class partner_data, strict, 15 min</Text>}>
      <Group gap="xs" align="end" mb={8}>
        <Select label="Organisation" data={orgs} value={org} onChange={(v) => setOrg(v ?? 'acme')} w={140} allowDeselect={false} />
        <Button variant="default" onClick={() => list.refetch()} loading={list.isFetching}>
          Ask again
        </Button>
        <CameBadge came={list.data?.came} />
      </Group>
      <Failure error={list.error ?? edit.error} />
      <div className="scroll" tabIndex={0} role="region" aria-label="The list of partners">
        <Table verticalSpacing={3}>
          <Table.Thead>
            <Table.Tr>
              <Table.Th>Partner</Table.Th>
              <Table.Th>Industry</Table.Th>
              <Table.Th>Status</Table.Th>
              <Table.Th>
                <span className="unseen">Change</span>
              </Table.Th>
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {/* Rows that are to come have their room, so that nothing moves under a finger. */}
            {Array.from({ length: list.data ? 0 : most }, (_, i) => (
              <Table.Tr key={i}>
                <Table.Td colSpan={3}>…</Table.Td>
                <Table.Td>
                  <Button size="compact-xs" variant="default" disabled style={{ visibility: 'hidden' }}>
                    Pause
                  </Button>
                </Table.Td>
              </Table.Tr>
            ))}
            {shown.map((p) => (
              <Table.Tr key={p.id}>
                <Table.Td>{p.name}</Table.Td>
                <Table.Td>{p.industry}</Table.Td>
                <Table.Td data-testid={`status-${p.id}`}>{p.status}</Table.Td>
                <Table.Td>
                  <Button size="compact-xs" variant="default" onClick={() => edit.mutate(p)} disabled={edit.isPending} aria-label={`${p.status === 'active' ? 'Pause' : 'Activate'} ${p.name}`}>
                    {p.status === 'active' ? 'Pause' : 'Activate'}
                  </Button>
                </Table.Td>
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
      </div>
      <Text size="xs" className="soft" mt={4}>
        {list.data ? `${shown.length} of ${list.data.body.count}. ` : ''}A change invalidates the list of its organisation, on every node: the next answer shows it.
      </Text>
    </Card>
  );
}
