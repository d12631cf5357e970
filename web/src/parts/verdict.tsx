import { List, Text, Title } from '@mantine/core';
import type { Health, Stats } from '../api/client';
import { clock, span } from '../format';

const verdicts = {
  ok: { text: 'Everything works.', look: 'ok' },
  warned: { text: 'Everything works, with warnings.', look: 'degraded' },
  degraded: { text: 'It answers, with something missing.', look: 'degraded' },
  unhealthy: { text: 'It does not answer any more.', look: 'away' },
} as const;

const modes: Record<string, string> = {
  'near-only': 'Near tier only: no shared tier is configured.',
  'two-tier': 'Two tiers: this process, and the shared one.',
  degraded: 'A shared tier is configured, and cannot be relied on now.',
};

/** The verdict first, with its reasons, and what to do. */
export function Verdict({ health, stats }: { health?: Health; stats?: Stats }) {
  if (!health) {
    return (
      <section className="card verdict state-off" aria-label="Verdict" role="status">
        <Title order={2} style={{ fontSize: '1.35rem' }}>
          No word from the node yet.
        </Title>
        <Text size="sm">&nbsp;</Text>
      </section>
    );
  }
  const { text, look } = verdicts[health.status === 'ok' && health.causes?.length ? 'warned' : (health.status as keyof typeof verdicts)] ?? verdicts.degraded;
  return (
    <section className={`card verdict state-${look}`} aria-label="Verdict" role="status" data-testid="verdict">
      <Title order={2} style={{ fontSize: '1.35rem' }}>
        {text}
      </Title>
      {stats && (
        <Text size="sm">
          {modes[stats.mode] ?? stats.mode} <span className="soft">Node {stats.nodes[0]?.name}, version {stats.version || 'unknown'}, up {span(stats.uptime_seconds)}.</span>
        </Text>
      )}
      {health.causes && health.causes.length > 0 && (
        <List size="sm" mt="xs" spacing={6}>
          {health.causes.map((c) => (
            <List.Item key={c.check + c.reason}>
              <strong className={c.warning ? 'state-degraded' : undefined}>
                {c.check}: {c.reason}
              </strong>{' '}
              <span className="soft">
                since {clock(c.since)}
                {c.impact && `, ${c.impact}`}
              </span>
              {c.do && <Text size="sm">What to do: {c.do}.</Text>}
            </List.Item>
          ))}
        </List>
      )}
    </section>
  );
}
