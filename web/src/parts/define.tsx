import { ActionIcon, Popover, Text } from '@mantine/core';
import { memo } from 'react';
import { words, type Word } from '../words';

/** The definition of a figure, one click away. */
export const Define = memo(function Define({ word, of }: { word: Word; of: string }) {
  return (
    <Popover width={300} position="bottom" withArrow shadow="md">
      <Popover.Target>
        <ActionIcon variant="subtle" color="gray" size={20} radius="xl" aria-label={`What is: ${of}?`} c="var(--soft)">
          <Text span size="xs" fw={700}>
            ?
          </Text>
        </ActionIcon>
      </Popover.Target>
      <Popover.Dropdown>
        <Text size="sm">{words[word]}</Text>
      </Popover.Dropdown>
    </Popover>
  );
});
