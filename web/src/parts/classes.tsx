import { Table, Text, UnstyledButton } from '@mantine/core';
import { memo } from 'react';
import type { Stats } from '../api/client';
import { count, percent, span } from '../format';
import { colourOf } from '../theme';
import { words, type Word } from '../words';
import { Card } from './card';

const columns: { name: string; word: Word }[] = [
  { name: 'Hit rate', word: 'hitRate' },
  { name: 'TTL', word: 'ttl' },
  { name: 'Entries', word: 'entries' },
  { name: 'Near', word: 'near' },
  { name: 'Shared', word: 'sharedHit' },
  { name: 'Stale', word: 'stale' },
  { name: 'Joined', word: 'coalesced' },
  { name: 'Misses', word: 'miss' },
  { name: 'Loads', word: 'loads' },
  { name: 'Errors', word: 'errors' },
  { name: 'Saved', word: 'saved' },
];

interface Props {
  stats?: Stats;
  warnings?: string[];
  only?: string;
  onPick: (name: string) => void;
  names: string[];
}

/** What each class does, since the start, and what is of no use in it. */
export const Classes = memo(function Classes({ stats, warnings = [], only, onPick, names }: Props) {
  return (
    <Card title="Classes" right={<span className="soft" style={{ fontSize: '0.8rem' }}>since the start</span>}>
      <div className="scroll" tabIndex={0} role="region" aria-label="Classes, a table that may be wider than the page">
        <Table className="numbers" verticalSpacing={5} highlightOnHover>
          <Table.Thead>
            <Table.Tr>
              <Table.Th>Class</Table.Th>
              {columns.map((c) => (
                <Table.Th key={c.name} style={{ whiteSpace: 'nowrap' }}>
                  {c.name}
                </Table.Th>
              ))}
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {names.map((name) => {
              const c = stats!.classes[name]!;
              const warning = warnings.find((w) => w.startsWith(`class ${name}:`));
              return (
                <Table.Tr key={name}>
                  <Table.Td>
                    <UnstyledButton onClick={() => onPick(name)} aria-pressed={only === name} style={{ display: 'inline-flex', gap: 7, alignItems: 'center', fontWeight: only === name ? 700 : 500 }}>
                      <span className="dot" style={{ color: colourOf(name, names) }} aria-hidden="true" />
                      {name}
                    </UnstyledButton>
                    <Text size="xs" className="soft">
                      {[c.strict && 'strict', c.private && 'private'].filter(Boolean).join(', ')}
                    </Text>
                    {warning && (
                      <Text size="xs" className="state-degraded" maw={340}>
                        {warning.slice(`class ${name}: `.length)}
                      </Text>
                    )}
                  </Table.Td>
                  <Table.Td>{percent(c.hit_rate)}</Table.Td>
                  <Table.Td>{c.ttl_seconds > 0 ? span(c.ttl_seconds) : 'off'}</Table.Td>
                  <Table.Td>{count(c.entries)}</Table.Td>
                  <Table.Td>{count(c.near_hits)}</Table.Td>
                  <Table.Td>{count(c.shared_hits)}</Table.Td>
                  <Table.Td>{count(c.stale_hits)}</Table.Td>
                  <Table.Td>{count(c.coalesced)}</Table.Td>
                  <Table.Td title={Object.entries(c.misses_by).map(([why, n]) => `${why}: ${n}`).join(', ')}>{count(c.misses)}</Table.Td>
                  <Table.Td>{count(c.loads)}</Table.Td>
                  <Table.Td className={c.load_errors > 0 ? 'state-away' : undefined}>{count(c.load_errors)}</Table.Td>
                  <Table.Td>
                    {span(c.saved_seconds)}
                    {c.saved_cost != null && (
                      <Text size="xs" className="soft">
                        cost {count(c.saved_cost)}
                      </Text>
                    )}
                  </Table.Td>
                </Table.Tr>
              );
            })}
          </Table.Tbody>
        </Table>
      </div>
      <details className="soft">
        <summary>What the columns mean</summary>
        <dl>
          {columns.map((c) => (
            <div key={c.name}>
              <dt>{c.name}</dt>
              <dd>{words[c.word]}</dd>
            </div>
          ))}
        </dl>
      </details>
      {names.length === 0 && <Text className="soft">No class is declared or used yet.</Text>}
    </Card>
  );
});
