import { Button, Group, Select, SegmentedControl, Stack, Text, TextInput } from '@mantine/core';
import { useDebouncedValue } from '@mantine/hooks';
import { useMutation, useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { ask, post, type Entries, type Receipt } from '../api/client';
import { useOverview } from '../api/overview';
import { bytes } from '../format';
import { Card } from '../parts/card';
import { Failure } from '../parts/failure';
import { Followed } from './followed';

type Kind = 'key' | 'tag' | 'class' | 'pattern' | 'url' | 'all';

/** What is typed before everything is invalidated. */
const everything = 'everything';

const hints: Record<Kind, string> = {
  key: 'partner_data:org_id=acme,q=,',
  tag: 'org:acme',
  class: 'partner_data',
  pattern: 'partner_data:org_id=acme,*',
  url: 'http://api.example.com/api/partners?org_id=acme',
  all: everything,
};

/** Invalidates, and says first what it will hit. */
export function Invalidate() {
  const overview = useOverview().data;
  const classes = Object.keys(overview?.stats.classes ?? {}).sort();
  const kinds = Object.keys(hints).filter((k) => k !== 'url' || overview?.may.explain); // of requests alone
  const [kind, setKind] = useState<Kind>('tag');
  const [name, setName] = useState('');
  const [mode, setMode] = useState('remove');
  const wanted = kind === 'all' ? kind : `${kind} ${name}`;
  const [asked] = useDebouncedValue(wanted, 250);
  const named = kind === 'all' || name.trim() !== '';
  const ready = kind === 'all' ? name === everything : named;
  const preview = useQuery({
    queryKey: ['entries', asked],
    queryFn: () => ask<Entries>(`api/entries?limit=5${kind === 'all' ? '' : `&${kind}=${encodeURIComponent(name)}`}`),
    enabled: named && asked === wanted,
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
          <SegmentedControl aria-label="What to invalidate" size="xs" value={kind} onChange={(v) => (setKind(v as Kind), setName(''), go.reset())} data={kinds} />
          {kind === 'class' ? (
            <Select label="Class" data={classes} value={name || null} onChange={(v) => (setName(v ?? ''), go.reset())} />
          ) : (
            <TextInput label={labels[kind] ?? kind[0]!.toUpperCase() + kind.slice(1)} placeholder={kind === 'all' ? '' : `such as ${hints[kind]}`} value={name} onChange={(e) => (setName(e.currentTarget.value), go.reset())} maxLength={1024} />
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
            {named && preview.data && <Reach entries={preview.data} />}
            {!named && (
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
                {go.data.deferred ? 'Deferred: it counts on this node, and everywhere once the log can be reached.' : <Done receipt={go.data} />}
              </Text>
            )}
          </Group>
          {go.data?.id && <Followed id={go.data.id} />}
          <Failure error={go.error ?? preview.error} />
        </Stack>
      </form>
    </Card>
  );
}

const labels: Partial<Record<Kind, string>> = { url: 'URL', all: `Type “${everything}”: what each node and the shared tier hold is loaded again` };

function Done({ receipt: r }: { receipt: Receipt }) {
  return (
    <>
      Done. It covered {r.entries === 1 ? '1 entry' : `${r.entries} entries`} ({bytes(r.bytes)}) here; {r.nodes === 1 ? 'no other node is heard' : `${r.nodes - 1} more ${r.nodes === 2 ? 'node reads' : 'nodes read'} it from the log`}. Receipt{' '}
      <span className="mono">{r.id}</span>
    </>
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
