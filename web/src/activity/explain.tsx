import { Button, Checkbox, Group, Stack, Text, TextInput, Textarea } from '@mantine/core';
import { useMutation } from '@tanstack/react-query';
import { useState } from 'react';
import { useSearchParams } from 'wouter';
import { post, type Receipt, type Schemas } from '../api/client';
import { useMay } from '../api/overview';
import { bytes, clock, moment, ms, none, span } from '../format';
import { Card } from '../parts/card';
import { Failure } from '../parts/failure';

type Explanation = Schemas['Explanation'];

const looks: Record<Explanation['would'], string> = { hit: 'ok', stale: 'degraded', miss: 'away', bypass: 'off', refused: 'away' };

/** What the gateway makes of a request: its key, what is stored, what the answer would be and why. */
export function Explain() {
  const [search] = useSearchParams();
  const [url, setURL] = useState(search.get('explain') ?? '');
  const [fields, setFields] = useState(search.get('fields') ?? '');
  const [asks, setAsks] = useState(false);
  const may = useMay();
  const go = useMutation({ mutationFn: (how: { ask?: boolean; value?: boolean }) => post<Explanation>('api/explain', { url: url.trim(), headers: parsed(fields), ...how }, 30_000) });
  const remove = useMutation({ mutationFn: () => post<Receipt>('api/invalidate', { url: url.trim() }), onSuccess: () => go.mutate({}) });
  return (
    <Card title="Explain a request">
      <form onSubmit={(e) => (e.preventDefault(), url.trim() && go.mutate(asks ? { ask: true } : {}))}>
        <Stack gap="xs">
          <TextInput label="URL" description="Whole, with the host that clients use." placeholder="http://api.example.com/api/partners?org_id=acme" value={url} onChange={(e) => setURL(e.currentTarget.value)} />
          <Textarea label="Fields of the request" description="One a line: Accept: application/json" rows={2} value={fields} onChange={(e) => setFields(e.currentTarget.value)} />
          <Group>
            <Button type="submit" disabled={url.trim() === ''} loading={go.isPending}>
              Explain
            </Button>
            {may?.change && <Checkbox label="Send it through the cache first" checked={asks} onChange={(e) => setAsks(e.currentTarget.checked)} />}
            {go.data?.stored && !go.data.value && (
              <Button variant="default" loading={go.isPending} onClick={() => go.mutate({ value: true })}>
                Show what is stored
              </Button>
            )}
            {may?.change && go.data?.stored && (
              <Button variant="default" loading={remove.isPending} onClick={() => remove.mutate()}>
                Remove all of this URL
              </Button>
            )}
          </Group>
          <div role="status">{go.data && <Told e={go.data} />}</div>
          {remove.data && <Text size="sm">Removed: receipt <span className="mono">{remove.data.id || 'deferred'}</span></Text>}
          <Failure error={go.error ?? remove.error} />
        </Stack>
      </form>
    </Card>
  );
}

function parsed(text: string): Record<string, string> {
  return Object.fromEntries(
    text
      .split('\n')
      .map((line) => line.split(/:(.*)/s))
      .filter(([name, value]) => name?.trim() && value !== undefined)
      .map(([name, value]) => [name!.trim(), value!.trim()]),
  );
}

function Told({ e }: { e: Explanation }) {
  return (
    <Stack gap={4} data-testid="explanation">
      <Text size="sm" className="mono">
        {e.canonical}
      </Text>
      {e.asked && (
        <Text size="sm">
          Asked: {e.asked.status}, {bytes(e.asked.bytes)} in {ms(e.asked.took_ms)} <span className="mono">{e.asked.cache_status}</span> {e.asked.error}
        </Text>
      )}
      <Text size="sm">
        Now: <strong className={`state-${looks[e.would]}`}>{e.would}</strong>
        {e.why && `, ${e.why}`}
      </Text>
      {e.class && (
        <Text size="sm">
          Rule {e.rule ? <span className="mono">{e.rule}</span> : none}, class {e.class}
        </Text>
      )}
      {e.stored ? (
        <Text size="sm">
          Stored in the {e.tier} tier: {e.status}, {bytes(e.size)}, {span(e.age)} old{e.fresh_until && `, fresh until ${clock(e.fresh_until)}`}
          {e.load_ms != null && `, loaded in ${ms(e.load_ms)}`}
          {(e.tags ?? []).length > 0 && `, tags ${e.tags!.join(', ')}`}
        </Text>
      ) : (
        e.key && (
          <Text size="sm">
            Nothing is stored under its key.
            {e.nearest && ` With ${(e.nearest.differs ?? []).map((p) => `${p.name}: ${p.value || none}`).join(' and ')} it would be found: that is part of the key.`}
            {!e.nearest && e.nearby > 0 && ` ${e.nearby} other responses of this path are: one of the parts below differs, or a field that this request lacks.`}
          </Text>
        )
      )}
      {e.invalidated && (
        <Text size="sm">
          Last invalidated {moment(e.invalidated.time)} by <span className="mono">{e.invalidated.target}</span> {e.invalidated.by}
        </Text>
      )}
      {(e.nodes ?? []).filter((n) => !n.self).map((n) => (
        <Text size="sm" key={n.name}>
          Node <span className="mono">{n.name}</span>: {n.error || (n.stored ? `has it, ${span(n.age_seconds)} old, fresh for ${span(n.ttl_seconds)}` : 'does not have it in its near tier')}
        </Text>
      ))}
      {e.value && (
        <pre className="mono scroll" tabIndex={0} aria-label="What is stored">
          {e.value.text || e.value.base64}
          {e.value.cut && '…'}
        </pre>
      )}
      {(e.parts ?? []).map((p) => (
        <Text size="sm" key={p.name} className="mono">
          <span className="soft">{p.name}:</span> {p.value}
        </Text>
      ))}
    </Stack>
  );
}
