import { List, Text } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { ask, type Delivery } from '../api/client';
import { exact } from '../format';
import { Failure } from '../parts/failure';

const complete = (d?: Delivery) => d !== undefined && (d.state === 'none' ? (d.nodes ?? []).every((n) => n.at) : d.state !== 'waiting');

/** How far an invalidation has come: the nodes, the CDN above, and what a probe through it has seen. */
export function Followed({ id }: { id: string }) {
  const { data, error } = useQuery({
    queryKey: ['receipt', id],
    queryFn: () => ask<Delivery>(`api/receipts/${encodeURIComponent(id)}`),
    refetchInterval: (q) => (complete(q.state.data) || q.state.dataUpdateCount > 120 ? false : 500),
    retry: false,
  });
  if (error) return <Failure error={error} />;
  if (!data) return null;
  return (
    <List size="sm" spacing={2} data-testid="followed" role="status">
      {(data.nodes ?? []).map((n) => (
        <List.Item key={n.node}>
          {n.at ? `Applied by ${n.node} at ${exact(n.at)}` : <span className="state-degraded">{n.node} has not said yet that it has applied it</span>}
        </List.Item>
      ))}
      {data.state === 'waiting' && <List.Item>The CDN is being purged{data.why ? `: ${data.why}` : ' …'}</List.Item>}
      {data.state === 'refused' && (
        <List.Item>
          <span className="state-away">The CDN has refused the purge: {data.why}. It is kept, and can be made again below.</span>
        </List.Item>
      )}
      {data.state === 'purged' && (
        <List.Item>
          Purged at the CDN{data.turn?.done ? ` at ${exact(data.turn.purged!)}, and again until ${exact(data.turn.done)}` : ''} {data.turn?.purges && <span className="mono soft">{data.turn.purges.join(', ')}</span>}
        </List.Item>
      )}
      {data.turn?.probe && (
        <List.Item>
          {data.turn.probe.new ? (
            <Text size="sm" span>
              A probe has seen the new answer through the CDN at {exact(data.turn.probe.at)}
            </Text>
          ) : (
            <span className="state-degraded">A probe through the CDN has not seen the new answer: {data.turn.probe.error}</span>
          )}
        </List.Item>
      )}
    </List>
  );
}
