import { Button, Group, List, Select, Text } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { Card } from '../parts/card';
import { call } from './call';
import { CameBadge } from './came-badge';
import { cleanrooms } from './orgs';
import { Failure } from '../parts/failure';
import { RunQuery } from './query';
import type { Template } from './types';

// Room for the three templates that a clean room has, so that nothing moves when they come.
const room3 = 150;

/** The templates of a clean room, of which one is run as a query. */
export function Templates() {
  const [room, setRoom] = useState('cr-1');
  const [picked, setPicked] = useState<string>();
  const list = useQuery({
    queryKey: ['templates', room],
    queryFn: () => call<{ count: number; templates: Template[] }>(`api/templates?cleanroom_id=${room}`),
    staleTime: 0,
  });
  const templates = list.data?.body.templates ?? [];
  const template = templates.find((t) => t.id === picked) ?? templates[0];
  return (
    <>
      <Card title="Templates" right={<Text size="sm" className="soft">class template_data, 30 min</Text>}>
        <Group gap="xs" align="end" mb={8}>
          <Select label="Clean room" data={cleanrooms} value={room} onChange={(v) => setRoom(v ?? 'cr-1')} w={140} searchable allowDeselect={false} />
          <Button variant="default" onClick={() => list.refetch()} loading={list.isFetching}>
            Ask again
          </Button>
          <CameBadge came={list.data?.came} />
        </Group>
        <Failure error={list.error} />
        <List size="sm" spacing={6} listStyleType="none" mih={room3}>
          {templates.map((t) => (
            <List.Item key={t.id}>
              <Group justify="space-between" wrap="nowrap" gap="xs">
                <div>
                  <Text size="sm" fw={600}>
                    {t.name}
                  </Text>
                  <Text size="xs" className="soft">
                    {t.category}, {t.complexity}, about {t.expected_runtime_s} s. {t.description}
                  </Text>
                </div>
                <Button size="compact-xs" variant={template?.id === t.id ? 'filled' : 'default'} onClick={() => setPicked(t.id)} style={{ flex: 'none' }}>
                  {template?.id === t.id ? 'Chosen' : 'Choose'}
                  <span className="unseen"> {t.name}</span>
                </Button>
              </Group>
            </List.Item>
          ))}
        </List>
      </Card>
      {template ? <RunQuery key={template.id} template={template} /> : <Card title="Query" height={150} />}
    </>
  );
}
