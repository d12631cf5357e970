import { Text } from '@mantine/core';
import type { Stats } from '../api/client';
import { bytes, count, ms, none, span } from '../format';
import { Card } from './card';
import { Figures } from './figures';

export function SharedCard({ stats }: { stats?: Stats }) {
  const s = stats?.shared;
  if (!stats) return <Card title="Shared tier" word="shared">{none}</Card>;
  if (!s) {
    return (
      <Card title="Shared tier" word="shared">
        <Text size="sm">Not configured: this node answers from its own memory and the origin. Set REDIS_URL (or --redis) to share what is stored, and the invalidations, between nodes.</Text>
      </Card>
    );
  }
  const unusable = Object.values(s.unusable).reduce((a, b) => a + b, 0);
  return (
    <Card title="Shared tier" word="shared" right={<State well={s.usable} yes="works" no="cannot be used" />}>
      {s.why && (
        <Text size="sm" className="state-away" mb={6}>
          {s.why}
        </Text>
      )}
      <Figures
        lines={[
          { name: 'Version', value: s.version || none },
          { name: 'Breaker', value: s.breaker },
          { name: 'Look-up p50, p99', value: `${ms(s.latency_ms.p50)}, ${ms(s.latency_ms.p99)}`, word: 'sharedLatency' },
          { name: 'Look-ups, errors', value: `${count(s.lookups)}, ${count(s.errors)}` },
          { name: 'Memory', value: s.used_memory > 0 ? bytes(s.used_memory) : none },
          { name: 'Writes waiting, dropped, refused', value: `${count(s.queued)}, ${count(s.dropped)}, ${count(s.failed)}` },
          { name: 'Values that could not be used', value: count(unusable) },
        ]}
      />
    </Card>
  );
}

function State({ well, yes, no }: { well: boolean; yes: string; no: string }) {
  return (
    <span className={well ? 'state-ok' : 'state-away'} style={{ display: 'flex', alignItems: 'center', gap: 6, fontSize: '0.9rem' }}>
      <span className="dot" aria-hidden="true" />
      {well ? yes : no}
    </span>
  );
}

export function LogCard({ stats }: { stats?: Stats }) {
  const l = stats?.log;
  if (!l) return <Card title="Log of invalidations" word="log">{none}</Card>;
  return (
    <Card title="Log of invalidations" word="log" right={<State well={l.confirmed} yes="confirmed" no="unconfirmed" />}>
      <Figures
        lines={[
          { name: 'Lag', value: stats.shared ? ms(l.lag_ms) : 'none: it is in this process', word: 'lag' },
          { name: 'Head', value: <span className="mono">{l.head}</span> },
          { name: 'Floor', value: <span className="mono">{l.floor}</span> },
          { name: 'Targets remembered', value: count(l.targets) },
          { name: 'Waiting to be told', value: count(stats.shared?.deferred ?? 0), word: 'deferred' },
        ]}
      />
    </Card>
  );
}

export function NodesCard({ stats }: { stats?: Stats }) {
  const nodes = stats?.nodes ?? [];
  return (
    <Card title="Nodes" word="nodes">
      <Figures
        lines={nodes.slice(0, 12).map((n, i) => ({ name: n.name, value: i === 0 ? 'this node' : stats?.log.confirmed ? `heard of ${span(n.seen_seconds)} ago` : `unknown for ${span(n.seen_seconds)}` }))}
      />
      {stats && !stats.shared && (
        <Text size="sm" className="soft" mt={6}>
          Without a shared tier each node is alone.
        </Text>
      )}
      {nodes.length > 12 && <Text size="sm" className="soft">… and {nodes.length - 12} more</Text>}
    </Card>
  );
}
