import { at, refusalOf } from '../api/client';

/** How an answer came about, as it says itself and as it was measured here. */
export interface Came {
  outcome: 'hit near' | 'hit shared' | 'stale' | 'joined' | 'miss' | 'bypass' | 'uncached';
  why?: string;
  ttl?: number;
  ms: number;
  /** To the first byte, where the answer streams. */
  first: number;
}

/** Reads Cache-Status (RFC 9211) as this cache writes it. */
export function readCacheStatus(field: string | null): Omit<Came, 'ms' | 'first'> {
  if (!field?.includes('forebay')) return { outcome: 'uncached' };
  const mine = field.slice(field.lastIndexOf('forebay'));
  const part = (name: string) => new RegExp(`; ${name}=([^;,]+)`).exec(mine)?.[1];
  const ttl = part('ttl') === undefined ? undefined : Number(part('ttl'));
  const detail = part('detail');
  if (/; hit/.test(mine)) {
    if (detail === 'near') return { outcome: 'hit near', ttl };
    if (detail === 'shared') return { outcome: 'hit shared', ttl };
    return { outcome: 'stale', ttl, why: ttl !== undefined && ttl < 0 ? 'past its time' : undefined };
  }
  if (/; collapsed/.test(mine)) return { outcome: 'joined', why: 'another request’s load' };
  const fwd = part('fwd');
  if (fwd === 'bypass') return { outcome: 'bypass', why: detail };
  return { outcome: 'miss', why: detail ?? { 'uri-miss': 'not stored', stale: 'past its time', request: 'asked for again' }[fwd ?? ''] ?? fwd };
}

export interface Answer<T> {
  body: T;
  came: Came;
}

/** Times a request: by the browser's network where it says, because this page may be busy when the answer comes. */
function stopwatch(path: string) {
  performance.clearResourceTimings?.();
  const begun = performance.now();
  let first = 0;
  return {
    first: () => (first = performance.now() - begun),
    end: () => {
      const e = performance.getEntriesByName?.(at(path)).at(-1) as PerformanceResourceTiming | undefined;
      return e && e.responseEnd > 0 ? { ms: e.responseEnd - e.startTime, first: e.responseStart - e.startTime } : { ms: performance.now() - begun, first };
    },
  };
}

/** Asks the platform, and says how the answer came about. */
export async function call<T>(path: string, init: RequestInit = {}): Promise<Answer<T>> {
  const watch = stopwatch(path);
  const response = await fetch(at(path), { ...init, signal: AbortSignal.timeout(60_000) });
  watch.first();
  if (!response.ok) throw await refusalOf(response);
  const body = (await response.json()) as T;
  return { body, came: { ...readCacheStatus(response.headers.get('Cache-Status')), ...watch.end() } };
}

export const send = <T>(method: string, path: string, body: unknown) =>
  call<T>(path, { method, headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) });

interface Said {
  delta?: string;
  sources?: { id?: string; title?: string; name?: string; kind?: string }[];
  detail?: string;
}

/** Asks the assistant, and tells each word as it comes. */
export async function converse(question: { org_id: string; message: string }, say: (text: string) => void): Promise<Came> {
  const watch = stopwatch('api/chat');
  const response = await fetch(at('api/chat'), {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', Accept: 'text/event-stream' },
    body: JSON.stringify({ ...question, stream: true }),
    signal: AbortSignal.timeout(120_000),
  });
  watch.first();
  if (!response.ok || !response.body) throw await refusalOf(response);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let held = '';
  let text = '';
  let whole = false;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    held += value;
    const events = held.split('\n\n');
    held = events.pop() ?? '';
    for (const event of events) {
      const data = /^data: (.*)$/m.exec(event)?.[1];
      if (data === undefined) continue;
      if (data === '[DONE]') {
        whole = true;
        continue;
      }
      const said = JSON.parse(data) as Said;
      if (said.detail) throw new Error(said.detail);
      if (said.delta) say((text += said.delta));
    }
  }
  if (!whole) throw new Error('The answer broke off. Ask again.');
  return { ...readCacheStatus(response.headers.get('Cache-Status')), ...watch.end() };
}
