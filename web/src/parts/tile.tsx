import { Group, Text } from '@mantine/core';
import { memo } from 'react';
import { none } from '../format';
import type { Word } from '../words';
import { Define } from './define';

/** One figure, large, with what it is and what it is of. */
export const Tile = memo(function Tile({ name, word, value, note }: { name: string; word: Word; value: string; note?: string }) {
  return (
    <div className="card">
      <Group gap={4} justify="space-between" wrap="nowrap">
        <Text size="sm" className="soft">
          {name}
        </Text>
        <Define word={word} of={name} />
      </Group>
      <div className={`big${value === none ? ' none' : ''}`}>{value}</div>
      <Text size="xs" className="soft">
        {note ?? '\u00a0'}
      </Text>
    </div>
  );
});
