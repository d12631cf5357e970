import { List, Text, Title } from '@mantine/core';
import type { Health, Stats } from '../api/client';
import { span } from '../format';

const verdicts = {
  ok: { text: 'Everything works.', look: 'ok' },
  degraded: { text: 'It answers, with something missing.', look: 'degraded' },
  unhealthy: { text: 'It does not answer any more.', look: 'away' },
} as const;

const modes: Record<string, string> = {
  'near-only': 'Near tier only: no shared tier is configured.',
  'two-tier': 'Two tiers: this process, and the shared one.',
  degraded: 'A shared tier is configured, and cannot be relied on now.',
};

/** What to do about a reason, by what it begins with. */
const remedies: [RegExp, string][] = [
  [/^shared: .*drill/, 'Nothing to do: it comes back by itself, or when the drill is ended.'],
  [/^shared:/, 'Look at Redis: does it run, can this node reach it, has it memory left? “forebay doctor” tries each part. Nothing need be restarted here: the node joins again by itself.'],
  [/^log:/, 'Follows from the shared tier being away. Strict classes load until it is back; nothing older than promised is served.'],
  [/^journal:/, 'Nothing to do: they are told as soon as the log can be reached. With --journal they survive a crash until then.'],
  [/^class /, 'Look at the origin of this class: its loads fail. What is stored goes on being served, as far as the class allows.'],
  [/^function /, 'Make the type survive its codec: exported fields, no interfaces. Until then its values stay in the near tier.'],
  [/^near: the cache is closed/, 'The process is stopping. If it should not, look at its log.'],
  [/^database:/, 'Look at the database that the origin asks.'],
];

export function remedy(reason: string): string | undefined {
  return remedies.find(([begins]) => begins.test(reason))?.[1];
}

/** What follows from something else stands after it. */
export function causesFirst(reasons: string[]): string[] {
  const follows = (r: string) => (/^(log|journal):/.test(r) ? 1 : 0);
  return [...reasons].sort((a, b) => follows(a) - follows(b));
}

/** The verdict first, with its reasons, and what to do. */
export function Verdict({ health, stats }: { health?: Health; stats?: Stats }) {
  if (!health) {
    return (
      <section className="card verdict state-off" aria-label="Verdict" role="status">
        <Title order={2}>No word from the node yet.</Title>
      </section>
    );
  }
  const { text, look } = verdicts[health.status as keyof typeof verdicts] ?? verdicts.degraded;
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
      {health.reasons.length > 0 && (
        <List size="sm" mt="xs" spacing={4}>
          {causesFirst(health.reasons).map((r) => (
            <List.Item key={r}>
              <strong>{r}</strong>
              {remedy(r) && <Text size="sm">{remedy(r)}</Text>}
            </List.Item>
          ))}
        </List>
      )}
    </section>
  );
}
