import { Button, Group, Table, Text, UnstyledButton } from '@mantine/core';
import { useReducedMotion } from '@mantine/hooks';
import { useQuery } from '@tanstack/react-query';
import { useCallback, useEffect, useMemo, useRef, useState } from 'react';
import { ask, type Request } from '../api/client';
import { useNow } from '../api/live';
import { useMay } from '../api/overview';
import { clock, ms } from '../format';
import { Card } from '../parts/card';

/** A stop on a request's way: a part, when it came there, and what came of it. */
export interface Stop {
  part: string;
  text: string;
  at: number;
  took: number;
}

const says: Record<string, string> = {
  near: 'near tier',
  shared: 'shared tier',
  log: 'log',
  lease: 'lease of the key',
  wait: 'another request’s load',
  origin: 'origin',
};

/** The way of a request: what it did, at which part of the picture. */
export function wayOf(r: Request): Stop[] {
  const way: Stop[] = [
    { part: 'clients', text: `${r.method} ${r.path}`, at: 0, took: 0 },
    { part: 'front', text: 'came in', at: 0, took: 0 },
  ];
  const steps = [...r.steps].sort((a, b) => a.at_ms - b.at_ms);
  for (const s of steps) {
    const part = s.part === 'lease' ? 'shared' : s.part === 'wait' ? 'near' : s.part;
    way.push({ part, text: `${says[s.part] ?? s.part}: ${s.found}${s.error ? ` (${s.error})` : ''}`, at: s.at_ms, took: s.took_ms });
  }
  way.push({ part: 'clients', text: `answered ${r.status}, ${r.outcome}, after ${ms(r.first_byte_ms)}`, at: r.first_byte_ms, took: 0 });
  return way;
}

export interface Playback {
  lit: string[];
  note?: { part: string; text: string };
  stop: number;
  play: (way: Stop[]) => void;
  clear: () => void;
}

const pace = 900;

/** Plays a way stop by stop; with reduced motion it is shown whole at once. */
export function usePlayback(): Playback {
  const still = useReducedMotion();
  const [way, setWay] = useState<Stop[]>([]);
  const [stop, setStop] = useState(-1);
  const timer = useRef<ReturnType<typeof setInterval>>(undefined);
  const clear = useCallback(() => {
    clearInterval(timer.current);
    setWay([]);
    setStop(-1);
  }, []);
  const play = useCallback(
    (stops: Stop[]) => {
      clearInterval(timer.current);
      setWay(stops);
      setStop(still ? stops.length - 1 : 0);
      if (!still) timer.current = setInterval(() => setStop((i) => Math.min(i + 1, stops.length - 1)), pace);
    },
    [still],
  );
  useEffect(() => () => clearInterval(timer.current), []);
  useEffect(() => {
    if (stop >= way.length - 1) clearInterval(timer.current);
  }, [stop, way]);
  return useMemo(() => {
    const at = way[stop];
    return { lit: way.slice(0, stop + 1).map((s) => s.part), note: at && { part: at.part, text: at.text.length > 60 ? `${at.text.slice(0, 60)}…` : at.text }, stop, play, clear };
  }, [way, stop, play, clear]);
}

const kinds = ['near', 'shared', 'stale', 'coalesced', 'miss', 'bypass'];

/** Recent requests, of which one is followed through the picture. */
export function Follow({ playback, picked, onPick }: { playback: Playback; picked?: string; onPick: (id?: string) => void }) {
  const may = useMay();
  const paused = useNow((n) => n.status === 'paused');
  const still = useReducedMotion();
  const [held, setHeld] = useState<Request>();
  const { data: requests } = useQuery({
    queryKey: ['requests'],
    queryFn: () => ask<Request[]>('api/requests'),
    enabled: may?.operate === true,
    refetchInterval: paused ? false : 2000,
  });
  const { play, clear } = playback;
  const follow = (r: Request) => {
    setHeld(r);
    onPick(String(r.id));
    play(wayOf(r));
    document.querySelector('.picture')?.scrollIntoView({ block: 'center', behavior: still ? 'auto' : 'smooth' });
  };
  // A link to a request plays it, as long as the node remembers it.
  useEffect(() => {
    if (!picked) return;
    const r = requests?.find((one) => String(one.id) === picked);
    if (r && held?.id !== r.id) {
      setHeld(r);
      play(wayOf(r));
    }
  }, [picked, requests, held, play]);
  if (may && !may.operate) {
    return (
      <Card title="Follow one request">
        <Text size="sm">Requests are shown to operators alone: {may.why}</Text>
      </Card>
    );
  }
  // One of each kind first: that is what one wants to see.
  const latest = requests?.filter((r) => r.outcome !== 'other') ?? [];
  const some = kinds.flatMap((k) => latest.filter((r) => r.outcome === k).slice(0, 3));
  return (
    <Card
      title="Follow one request"
      height={requests ? undefined : 320}
      right={
        held && (
          <Group gap="xs">
            <Button size="compact-xs" variant="default" onClick={() => follow(held)}>
              Play again
            </Button>
            <Button size="compact-xs" variant="default" onClick={() => (setHeld(undefined), onPick(), clear())}>
              Let go
            </Button>
          </Group>
        )
      }
    >
      {held && <Timeline request={held} stop={playback.stop} />}
      {requests && some.length === 0 && <Text className="soft">No request was seen yet. Send one: the platform’s page does.</Text>}
      {some.length > 0 && (
        <div className="scroll" tabIndex={0} role="region" aria-label="Recent requests">
          <Table verticalSpacing={3}>
            <Table.Thead>
              <Table.Tr>
                <Table.Th>Recent requests</Table.Th>
                <Table.Th>Outcome</Table.Th>
                <Table.Th style={{ textAlign: 'right' }}>First byte</Table.Th>
                <Table.Th>When</Table.Th>
              </Table.Tr>
            </Table.Thead>
            <Table.Tbody>
              {some.map((r) => (
                <Table.Tr key={r.id}>
                  <Table.Td>
                    <UnstyledButton className="mono" onClick={() => follow(r)} aria-label={`Follow ${r.method} ${r.path}, ${r.outcome}`} style={{ textDecoration: 'underline', textUnderlineOffset: 3 }}>
                      {r.method} {r.path}
                    </UnstyledButton>
                  </Table.Td>
                  <Table.Td>{r.outcome}</Table.Td>
                  <Table.Td style={{ textAlign: 'right' }}>{ms(r.first_byte_ms)}</Table.Td>
                  <Table.Td>{clock(r.time)}</Table.Td>
                </Table.Tr>
              ))}
            </Table.Tbody>
          </Table>
        </div>
      )}
    </Card>
  );
}

/** The steps of a request on one line of time. */
function Timeline({ request, stop }: { request: Request; stop: number }) {
  const way = wayOf(request);
  const whole = Math.max(request.took_ms, request.first_byte_ms, 0.001);
  return (
    <div style={{ marginBottom: 14 }} data-testid="timeline">
      <Group gap="xs" mb={6}>
        <Text size="sm" fw={600} className="mono">
          {request.method} {request.path}
        </Text>
        <span className="badge mono">{request.cache_status || 'no part of the cache’s'}</span>
      </Group>
      <ol style={{ listStyle: 'none', margin: 0, padding: 0, display: 'grid', gap: 3 }}>
        {way.slice(1).map((s, i) => (
          <li key={i} style={{ display: 'grid', gridTemplateColumns: 'minmax(180px, 38%) 1fr 74px', gap: 10, alignItems: 'center', opacity: i + 1 <= stop ? 1 : 0.6 }}>
            <Text size="sm">{s.text}</Text>
            <span aria-hidden="true" style={{ position: 'relative', height: 10, background: 'var(--line)', borderRadius: 4 }}>
              <span
                style={{
                  position: 'absolute',
                  left: `${Math.min(99, (s.at / whole) * 100)}%`,
                  width: `max(3px, ${Math.min(100 - (s.at / whole) * 100, (s.took / whole) * 100)}%)`,
                  height: 10,
                  borderRadius: 4,
                  background: i + 1 === stop ? 'var(--accent)' : 'var(--accent-soft)',
                }}
              />
            </span>
            <Text size="sm" ta="right" className="soft">
              {s.took > 0 ? ms(s.took) : ''}
            </Text>
          </li>
        ))}
      </ol>
    </div>
  );
}
