import { Button, Text } from '@mantine/core';
import { feed, useNow, type Now } from '../api/live';
import { span } from '../format';

const looks = { connecting: 'off', live: 'ok', behind: 'degraded', lost: 'away', paused: 'off' } as const;

export function saying(now: Now): string {
  switch (now.status) {
    case 'connecting':
      return 'Connecting …';
    case 'live':
      return 'Live';
    case 'behind':
      return `Behind: the figures are ${span(now.age)} old`;
    case 'lost':
      return now.age > 0 ? `Reconnecting; the figures are ${span(now.age)} old` : 'Reconnecting …';
    case 'paused':
      return now.waiting > 0 ? `Paused ${span(now.waiting / 2)} ago` : 'Paused';
  }
}

/** Says whether what is shown is of now, and stops it. */
export function LiveSign() {
  const now = useNow((n) => n);
  const paused = now.status === 'paused';
  return (
    <>
      <Text size="sm" role="status" className={`state-${looks[now.status]}`} style={{ display: 'flex', alignItems: 'center', gap: 6 }} data-testid="live-sign">
        <span className="dot" aria-hidden="true" />
        {saying(now)}
      </Text>
      <Button size="xs" variant="default" onClick={() => (paused ? feed.resume() : feed.pause())}>
        {paused ? 'Resume' : 'Pause'}
      </Button>
    </>
  );
}
