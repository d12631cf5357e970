import { Button, Group, Select, Text, TextInput } from '@mantine/core';
import { useMutation } from '@tanstack/react-query';
import { useState } from 'react';
import { Card } from '../parts/card';
import { Failure } from '../parts/failure';
import { converse, type Came } from './call';
import { CameBadge } from './came-badge';
import { orgs } from './orgs';

interface Turn {
  question: string;
  org: string;
  text: string;
  came?: Came;
}

/** The assistant: the second time a question is asked, the answer is replayed as it was. */
export function Chat() {
  const [org, setOrg] = useState('acme');
  const [message, setMessage] = useState('Which partners are in retail?');
  const [turns, setTurns] = useState<Turn[]>([]);
  const change = (part: Partial<Turn>) => setTurns((all) => [...all.slice(0, -1), { ...all.at(-1)!, ...part }]);
  const ask = useMutation({
    mutationFn: async () => {
      setTurns((all) => [...all.slice(-5), { question: message, org, text: '' }]);
      change({ came: await converse({ org_id: org, message }, (text) => change({ text })) });
    },
  });
  return (
    <Card title="Chat" right={<Text size="sm" className="soft">class chat, 5 min</Text>}>
      <form
        onSubmit={(e) => {
          e.preventDefault();
          if (!ask.isPending) ask.mutate();
        }}
      >
        <Group gap="xs" align="end" wrap="nowrap">
          <Select label="Organisation" data={orgs} value={org} onChange={(v) => setOrg(v ?? 'acme')} w={120} allowDeselect={false} />
          <TextInput label="Question" value={message} onChange={(e) => setMessage(e.currentTarget.value)} style={{ flex: 1 }} maxLength={2000} />
          <Button type="submit" loading={ask.isPending} disabled={message.trim() === ''}>
            Ask
          </Button>
        </Group>
      </form>
      <Text size="xs" className="soft" mt={4}>
        Ask twice: the second answer is the first one, replayed.
      </Text>
      <div aria-live="polite" data-testid="turns">
        {turns.map((t, i) => (
          <div key={i} style={{ borderTop: '1px solid var(--line)', marginTop: 10, paddingTop: 8 }}>
            <Text size="sm" fw={600}>
              {t.question} <span className="soft">({t.org})</span>
            </Text>
            <Text size="sm" style={{ whiteSpace: 'pre-wrap' }} data-testid="reply">
              {t.text}
            </Text>
            <CameBadge came={t.came} />
          </div>
        ))}
      </div>
      <Failure error={ask.error} />
    </Card>
  );
}
