import { Button, Checkbox, Group, Stack, Text, TextInput, Textarea } from '@mantine/core';
import { useMutation } from '@tanstack/react-query';
import { useState } from 'react';
import { useSearchParams } from 'wouter';
import { post, type Receipt, type Schemas } from '../api/client';
import { useMay } from '../api/overview';
import { bytes, clock, ms, none, span } from '../format';
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
  const go = useMutation({ mutationFn: (ask: boolean) => post<Explanation>('api/explain', { url: url.trim(), headers: parsed(fields), ask: ask || undefined }, 30_000) });
  const remove = useMutation({ mutationFn: () => post<Receipt>('api/invalidate', { url: url.trim() }), onSuccess: () => go.mutate(false) });
  return (
    <Card title="Explain a request">
      <form onSubmit={(e) => (e.preventDefault(), url.trim() && go.mutate(asks))}>
        <Stack gap="xs">
          <TextInput label="URL" description="Whole, with the host that clients use." placeholder="http://api.example.com/api/partners?org_id=acme" value={url} onChange={(e) => setURL(e.currentTarget.value)} />
          <Textarea label="Fields of the request" description="One a line: Accept: application/json" rows={2} value={fields} onChange={(e) => setFields(e.currentTarget.value)} />
          <Group>
            <Button type="submit" disabled={url.trim() === ''} loading={go.isPending}>
              Explain
            </Button>
            {may?.change && <Checkbox label="Send it through the cache first" checked={asks} onChange={(e) => setAsks(e.currentTarget.checked)} />}
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
          {(e.tags ?? []).length > 0 && `, tags ${e.tags!.join(', ')}`}
        </Text>
      ) : (
        e.key && (
          <Text size="sm">
            Nothing is stored under its key.
            {(e.nearest ?? []).length > 0 && ` With ${e.nearest!.map((p) => `${p.name}: ${p.value}`).join(' and ')} it would be found: those fields are part of the key.`}
            {(e.nearest ?? []).length === 0 && e.nearby > 0 && ` ${e.nearby} other responses of this path are: one of the parts below differs, or a field that this request lacks.`}
          </Text>
        )
      )}
      {(e.parts ?? []).map((p) => (
        <Text size="sm" key={p.name} className="mono">
          <span className="soft">{p.name}:</span> {p.value}
        </Text>
      ))}
    </Stack>
  );
}
