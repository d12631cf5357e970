import { Button, Group, Select, SegmentedControl, Stack, Text, TextInput } from '@mantine/core';
import { useDebouncedValue } from '@mantine/hooks';
import { useMutation, useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { ask, post, type Entries, type Receipt } from '../api/client';
import { useOverview } from '../api/overview';
import { bytes } from '../format';
import { Card } from '../parts/card';
import { Failure } from '../parts/failure';

type Kind = 'key' | 'tag' | 'class' | 'pattern' | 'all';

const hints: Record<Kind, string> = {
  key: 'partner_data:org_id=acme,q=,',
  tag: 'org:acme',
  class: 'partner_data',
  pattern: 'partner_data:org_id=acme,*',
  all: '',
};

/** Invalidates, and says first what it will hit. */
export function Invalidate() {
  const classes = Object.keys(useOverview().data?.stats.classes ?? {}).sort();
  const [kind, setKind] = useState<Kind>('tag');
  const [name, setName] = useState('');
  const [mode, setMode] = useState('remove');
  const [asked] = useDebouncedValue(`${kind} ${name}`, 250);
  const ready = kind === 'all' || name.trim() !== '';
  const preview = useQuery({
    queryKey: ['entries', asked],
    queryFn: () => ask<Entries>(`api/entries?limit=5${kind === 'all' ? '' : `&${kind}=${encodeURIComponent(name)}`}`),
    enabled: ready && asked === `${kind} ${name}`,
    staleTime: 0,
  });
  const go = useMutation({
    mutationFn: () => post<Receipt>('api/invalidate', { [kind]: kind === 'all' ? true : name, mode }),
    onSuccess: () => preview.refetch(),
  });
  return (
    <Card title="Invalidate">
      <form onSubmit={(e) => (e.preventDefault(), ready && go.mutate())}>
        <Stack gap="xs">
          <SegmentedControl aria-label="What to invalidate" size="xs" value={kind} onChange={(v) => (setKind(v as Kind), setName(''), go.reset())} data={['key', 'tag', 'class', 'pattern', 'all']} />
          {kind === 'class' ? (
            <Select label="Class" data={classes} value={name || null} onChange={(v) => (setName(v ?? ''), go.reset())} />
          ) : (
            kind !== 'all' && <TextInput label={kind[0]!.toUpperCase() + kind.slice(1)} placeholder={`such as ${hints[kind]}`} value={name} onChange={(e) => (setName(e.currentTarget.value), go.reset())} maxLength={1024} />
          )}
          <SegmentedControl
            aria-label="How far"
            size="xs"
            value={mode}
            onChange={setMode}
            data={[
              { value: 'remove', label: 'Remove: never again' },
              { value: 'expire', label: 'Expire: may be served stale' },
            ]}
          />
          <div role="status" data-testid="preview">
            {ready && preview.data && <Reach entries={preview.data} />}
            {!ready && (
              <Text size="sm" className="soft">
                Name it, and see what it reaches.
              </Text>
            )}
          </div>
          <Group gap="xs">
            <Button type="submit" color="red" disabled={!ready} loading={go.isPending}>
              {kind === 'all' ? 'Invalidate everything' : 'Invalidate'}
            </Button>
            {go.data && (
              <Text size="sm" role="status" data-testid="receipt">
                {go.data.deferred ? 'Deferred: it counts on this node, and everywhere once the log can be reached.' : <>Done. Receipt <span className="mono">{go.data.id}</span></>}
              </Text>
            )}
          </Group>
          <Failure error={go.error ?? preview.error} />
        </Stack>
      </form>
    </Card>
  );
}

function Reach({ entries }: { entries: Entries }) {
  if (entries.count === 0) return <Text size="sm">It reaches nothing in this node’s near tier. On other nodes and in the shared tier it counts all the same.</Text>;
  const more = entries.count - entries.entries.length;
  return (
    <>
      <Text size="sm">
        It reaches <strong>{entries.count === 1 ? '1 entry' : `${entries.count} entries`}</strong> ({bytes(entries.bytes)}) in this node’s near tier, and what the others and the shared tier hold of it:
      </Text>
      {entries.entries.map((e) => (
        <div key={e.key} className="mono">
          {e.key}
        </div>
      ))}
      {more > 0 && (
        <Text size="sm" className="soft">
          and {more} more
        </Text>
      )}
    </>
  );
}
