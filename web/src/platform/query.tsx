import { Button, Group, Progress, Table, Text, TextInput } from '@mantine/core';
import { useMutation, useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { Card } from '../parts/card';
import { call, send } from './call';
import { CameBadge } from './came-badge';
import { Failure } from '../parts/failure';
import type { Result, State, Template } from './types';

const over = (status?: string) => status === 'completed' || status === 'failed';

/** Runs a template: its state is kept for seconds while it runs, its result for longer. */
export function RunQuery({ template }: { template: Template }) {
  const [given, setGiven] = useState<Record<string, string>>(() => Object.fromEntries(template.parameters.filter((p) => p.required || p.default != null).map((p) => [p.name, example(p)])));
  const run = useMutation({
    mutationFn: () => send<State>('POST', 'api/queries', { template_id: template.id, parameters: typed(template, given) }),
  });
  const id = run.data?.body.query_id;
  const state = useQuery({
    queryKey: ['query', id],
    queryFn: () => call<State>(`api/status/${id}`),
    enabled: id !== undefined,
    refetchInterval: (q) => (over(q.state.data?.body.status) ? false : 700),
  });
  const status = state.data?.body.status;
  const result = useQuery({ queryKey: ['result', id], queryFn: () => call<Result>(`api/results/${id}`), enabled: status === 'completed', staleTime: 0 });
  const rows = result.data?.body.rows ?? [];
  const columns = Object.keys(rows[0] ?? {}).slice(0, 5);
  return (
    <Card title={`Query: ${template.name}`} right={<Text size="sm" className="soft">classes status_data, api_response</Text>}>
      <form onSubmit={(e) => (e.preventDefault(), run.mutate())}>
        <Group gap="xs" align="end">
          {Object.entries(given).map(([name, value]) => (
            <TextInput key={name} label={name} value={value} w={150} onChange={(e) => setGiven({ ...given, [name]: e.currentTarget.value })} />
          ))}
          <Button type="submit" loading={run.isPending}>
            Run
          </Button>
        </Group>
      </form>
      <Failure error={run.error ?? state.error ?? result.error} />
      {status && (
        <div style={{ marginTop: 10 }}>
          <Group gap="xs" mb={4}>
            <Text size="sm" data-testid="query-status">
              {status}
            </Text>
            <CameBadge came={state.data?.came} />
          </Group>
          <Progress value={state.data?.body.progress ?? 0} aria-label="Progress of the query" />
        </div>
      )}
      {result.data && (
        <div style={{ marginTop: 10 }}>
          <Group gap="xs" mb={4}>
            <Button size="compact-xs" variant="default" onClick={() => result.refetch()} loading={result.isFetching}>
              Ask for the result again
            </Button>
            <CameBadge came={result.data.came} />
          </Group>
          <div className="scroll" tabIndex={0} role="region" aria-label="Result of the query">
            <Table verticalSpacing={3}>
              <Table.Thead>
                <Table.Tr>
                  {columns.map((c) => (
                    <Table.Th key={c}>{c}</Table.Th>
                  ))}
                </Table.Tr>
              </Table.Thead>
              <Table.Tbody>
                {rows.slice(0, 5).map((row, i) => (
                  <Table.Tr key={i}>
                    {columns.map((c) => (
                      <Table.Td key={c}>{String(row[c])}</Table.Td>
                    ))}
                  </Table.Tr>
                ))}
              </Table.Tbody>
            </Table>
          </div>
        </div>
      )}
    </Card>
  );
}

const numeric = ['integer', 'number', 'int', 'float'];

function example(p: Template['parameters'][number]): string {
  if (p.default != null) return String(p.default);
  if (p.type === 'date') return p.name.startsWith('end') ? '2026-02-01' : '2026-01-01';
  return numeric.includes(p.type) ? '10' : 'example';
}

function typed(t: Template, given: Record<string, string>): Record<string, unknown> {
  const out: Record<string, unknown> = {};
  for (const p of t.parameters) {
    const text = given[p.name];
    if (text === undefined || text === '') continue;
    out[p.name] = numeric.includes(p.type) ? Number(text) : p.type === 'boolean' ? text === 'true' : text;
  }
  return out;
}
