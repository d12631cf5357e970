import { Table, Text } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { ask, type Keys } from '../api/client';
import { useNow } from '../api/live';
import { useMay } from '../api/overview';
import { bytes, count, span } from '../format';
import { requestsColour } from '../theme';
import { Card } from './card';
import { Key } from './key';

/** Which keys are asked for, which miss and why, and what is about to expire: for operators alone. */
export function KeysCards() {
  const may = useMay();
  const paused = useNow((n) => n.status === 'paused');
  const { data: keys } = useQuery({
    queryKey: ['keys'],
    queryFn: () => ask<Keys>('api/keys'),
    enabled: may?.operate === true,
    refetchInterval: paused ? false : 5000,
  });
  if (!may) return null;
  if (!may.operate) {
    return (
      <Card title="Keys">
        <Text size="sm">Keys are shown to operators alone: {may.why}</Text>
      </Card>
    );
  }
  return (
    <div className="charts">
      <Card title="Asked for most" word="topKeys">
        <Rows
          label="Keys asked for most"
          head={['Key', 'Requests']}
          rows={keys?.top.slice(0, 10).map((k) => [<Key of={k.key} />, count(Math.round(k.count))])}
          empty="No request was seen lately."
        />
      </Card>
      <Card title="Missing most" word="missingKeys">
        <Rows
          label="Keys missing most"
          head={['Key', 'Why', 'Misses']}
          rows={keys?.missing.slice(0, 10).map((k) => [<Key of={k.key} />, k.why ?? '', count(Math.round(k.count))])}
          empty="No request waited for the origin lately."
        />
      </Card>
      <Card title="Expiring next" word="expiring">
        <Rows
          label="Keys expiring next"
          head={['Key', 'Left', 'Size']}
          rows={keys?.expiring.slice(0, 10).map((e) => [<Key of={e.key} />, span(e.ttl_seconds), bytes(e.bytes)])}
          empty="The near tier is empty."
        />
      </Card>
      <Card title="Time left" word="ttlHistogram">
        <Histogram keys={keys} />
      </Card>
    </div>
  );
}

function Rows({ label, head, rows = [], empty }: { label: string; head: string[]; rows?: React.ReactNode[][]; empty: string }) {
  if (rows.length === 0) return <Text className="soft" size="sm">{empty}</Text>;
  return (
    <div className="scroll" tabIndex={0} role="region" aria-label={label}>
      <Table className="numbers" verticalSpacing={3}>
        <Table.Thead>
          <Table.Tr>
            {head.map((h) => (
              <Table.Th key={h}>{h}</Table.Th>
            ))}
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {rows.map((row, i) => (
            <Table.Tr key={i}>
              {row.map((cell, j) => (
                <Table.Td key={j}>{cell}</Table.Td>
              ))}
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </div>
  );
}

function Histogram({ keys }: { keys?: Keys }) {
  const bins = keys?.ttl ?? [];
  const most = Math.max(1, ...bins.map((b) => b.entries));
  return (
    <Table verticalSpacing={2} className="numbers">
      <Table.Thead>
        <Table.Tr>
          <Table.Th>Left</Table.Th>
          <Table.Th style={{ width: '50%' }}>Entries</Table.Th>
          <Table.Th>Memory</Table.Th>
        </Table.Tr>
      </Table.Thead>
      <Table.Tbody>
        {bins.map((b, i) => (
          <Table.Tr key={i}>
            <Table.Td style={{ whiteSpace: 'nowrap' }}>{b.up_to_seconds === 0 ? 'stale' : b.up_to_seconds == null ? 'longer' : `up to ${span(b.up_to_seconds)}`}</Table.Td>
            <Table.Td>
              <span style={{ display: 'flex', alignItems: 'center', gap: 8 }}>
                <span aria-hidden="true" style={{ width: `${(b.entries / most) * 80}%`, height: 10, borderRadius: 3, background: requestsColour }} />
                {b.entries}
              </span>
            </Table.Td>
            <Table.Td>{bytes(b.bytes)}</Table.Td>
          </Table.Tr>
        ))}
      </Table.Tbody>
    </Table>
  );
}
