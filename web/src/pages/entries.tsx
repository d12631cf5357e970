import { Button, Group, Select, Table, Text, TextInput, UnstyledButton } from '@mantine/core';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { useDeferredValue, useState } from 'react';
import { ask, type Entries, post, type Receipt } from '../api/client';
import { useNow } from '../api/live';
import { useMay, useOverview } from '../api/overview';
import { bytes, count, ms, span } from '../format';
import { Card } from '../parts/card';
import { OperatorsOnly } from '../parts/operators-only';
import { Failure } from '../parts/failure';

const orders = [
  { value: 'key', label: 'By key' },
  { value: 'size', label: 'Largest first' },
  { value: 'age', label: 'Oldest first' },
  { value: 'left', label: 'Expiring first' },
  { value: 'asked', label: 'Asked for most first' },
  { value: 'load', label: 'Slowest load first' },
];

const page = 50;
const most = 1000; // that the server lists

/** What the near tier of this node holds: searched, sorted, and removed one by one. */
export default function EntriesPage() {
  const may = useMay();
  const paused = useNow((n) => n.status === 'paused');
  const { data: overview } = useOverview();
  const [holds, setHolds] = useState('');
  const [tag, setTag] = useState('');
  const [klass, setClass] = useState<string | null>(null);
  const [sort, setSort] = useState('key');
  const [limit, setLimit] = useState(page);
  const query = useDeferredValue(new URLSearchParams({ limit: String(limit), sort, ...(holds && { holds }), ...(tag ? { tag } : klass ? { class: klass } : {}) }).toString());
  const { data, error } = useQuery({
    queryKey: ['entries', query],
    queryFn: () => ask<Entries>(`api/entries?${query}`),
    enabled: may?.operate === true,
    refetchInterval: paused ? false : 5000,
    placeholderData: (old) => old,
  });
  const [open, setOpen] = useState<string>();
  const client = useQueryClient();
  const remove = useMutation({
    mutationFn: (key: string) => post<Receipt>('api/invalidate', { key }),
    onSettled: () => client.invalidateQueries({ queryKey: ['entries'] }),
  });
  return (
    <OperatorsOnly title="Entries" why="Entries are named by their keys">
      <Card title="In the near tier of this node">
        <Group gap="sm" align="end" mb="sm">
          <TextInput label="Key holds" placeholder="org_id=acme" value={holds} onChange={(e) => setHolds(e.currentTarget.value)} />
          <TextInput label="Tag" placeholder="org:acme" value={tag} onChange={(e) => setTag(e.currentTarget.value)} />
          <Select label="Class" placeholder="all" clearable disabled={tag !== ''} data={Object.keys(overview?.stats.classes ?? {}).toSorted()} value={klass} onChange={setClass} />
          <Select label="Order" data={orders} allowDeselect={false} value={sort} onChange={(v) => setSort(v ?? 'key')} />
        </Group>
        <Text size="sm" role="status">
          {data ? `${count(data.count)} ${data.count === 1 ? 'entry' : 'entries'}, ${bytes(data.bytes)}` : ''}
        </Text>
        <Failure error={error ?? remove.error} />
        {data && data.entries!.length > 0 && (
          <div className="scroll" tabIndex={0} role="region" aria-label="Entries, a table that may be wider than the page">
            <Table className="numbers" verticalSpacing={3} highlightOnHover>
              <Table.Thead>
                <Table.Tr>
                  <Table.Th>Key</Table.Th>
                  <Table.Th>Size</Table.Th>
                  <Table.Th>Asked</Table.Th>
                  <Table.Th>Age</Table.Th>
                  <Table.Th>Left</Table.Th>
                  <Table.Th>Load</Table.Th>
                  <Table.Th>From</Table.Th>
                  <Table.Th>
                    <span className="unseen">Remove</span>
                  </Table.Th>
                </Table.Tr>
              </Table.Thead>
              <Table.Tbody>
                {data.entries!.map((e) => (
                  <Table.Tr key={e.key} data-testid="entry">
                    <Table.Td>
                      <UnstyledButton className="mono" aria-expanded={open === e.key} title="Show what is stored" onClick={() => setOpen(open === e.key ? undefined : e.key)}>
                        {e.key}
                      </UnstyledButton>
                      {e.tags!.length > 0 && (
                        <Text size="xs" className="soft">
                          {e.tags!.join(', ')}
                        </Text>
                      )}
                      {open === e.key && <Stored of={e.key} />}
                    </Table.Td>
                    <Table.Td>{bytes(e.bytes)}</Table.Td>
                    <Table.Td>{e.asked > 0 ? count(Math.round(e.asked)) : '–'}</Table.Td>
                    <Table.Td>{span(e.age_seconds)}</Table.Td>
                    <Table.Td>{e.ttl_seconds > 0 ? span(e.ttl_seconds) : 'stale'}</Table.Td>
                    <Table.Td>{e.took_ms > 0 ? ms(e.took_ms) : '–'}</Table.Td>
                    <Table.Td>{e.shared ? 'shared tier' : 'a load here'}</Table.Td>
                    <Table.Td>
                      <Button size="compact-xs" disabled={!may?.change} variant="default" aria-label={`Remove ${e.key}`} loading={remove.isPending && remove.variables === e.key} onClick={() => remove.mutate(e.key)}>
                        Remove
                      </Button>
                    </Table.Td>
                  </Table.Tr>
                ))}
              </Table.Tbody>
            </Table>
          </div>
        )}
        {data && data.count > data.entries!.length && data.entries!.length < most && (
          <Button mt="sm" size="xs" variant="default" onClick={() => setLimit((n) => Math.min(n + page, most))}>
            Show more
          </Button>
        )}
        {data && data.count === 0 && <Text className="soft">Nothing of this kind is stored near.</Text>}
      </Card>
    </OperatorsOnly>
  );
}

/** The value of one entry, as JSON. */
function Stored({ of }: { of: string }) {
  const { data, error } = useQuery({ queryKey: ['value', of], queryFn: () => ask<Entries>(`api/entries?${new URLSearchParams({ key: of, value: 'true' })}`) });
  return (
    <>
      <Failure error={error} />
      {data && (
        <pre className="mono scroll value" tabIndex={0} aria-label={`What is stored under ${of}`}>
          {data.value ? data.value.text || data.value.base64 : 'It has gone meanwhile.'}
          {data.value?.cut && '…'}
        </pre>
      )}
    </>
  );
}
