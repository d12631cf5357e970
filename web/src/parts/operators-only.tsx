import { Stack, Text, Title } from '@mantine/core';
import type { ReactNode } from 'react';
import { useMay } from '../api/overview';
import { Card } from './card';

/** A page that operators alone see; everybody else is told why. */
export function OperatorsOnly({ title, why, children }: { title: string; why: string; children: ReactNode }) {
  const may = useMay();
  return (
    <Stack gap="md">
      <Title order={1}>{title}</Title>
      {may && !may.operate ? (
        <Card title="For operators">
          <Text size="sm">
            {why}, and shown to operators alone: {may.why}
          </Text>
        </Card>
      ) : (
        children
      )}
    </Stack>
  );
}
