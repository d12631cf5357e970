import { Group, Title } from '@mantine/core';
import { type ReactNode, useId } from 'react';
import type { Word } from '../words';
import { Define } from './define';

/** A part of a page, with its name and what it means. */
export function Card({ title, word, right, height, children }: { title: string; word?: Word; right?: ReactNode; height?: number; children?: ReactNode }) {
  const id = useId();
  return (
    <section className="card" aria-labelledby={id} style={{ minHeight: height }}>
      <Group justify="space-between" mb={8} gap={8}>
        <Group gap={4}>
          <Title order={2} id={id}>
            {title}
          </Title>
          {word && <Define word={word} of={title} />}
        </Group>
        {right}
      </Group>
      {children}
    </section>
  );
}
