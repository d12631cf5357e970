import { Text } from '@mantine/core';

/** Why something was refused, in the words of who refused it. */
export function Failure({ error }: { error?: Error | null }) {
  if (!error) return null;
  return (
    <Text size="sm" className="state-away" role="alert">
      {error.message}
    </Text>
  );
}
