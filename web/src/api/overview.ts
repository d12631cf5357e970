import { useQuery } from '@tanstack/react-query';
import { useDeferredValue } from 'react';
import { ask, type Overview } from './client';
import { useNow } from './live';

/** What a page needs first. It is asked again after each gap in the stream, and tried for as long as it fails. */
export function useOverview() {
  const generation = useNow((n) => n.generation);
  return useQuery({
    queryKey: ['overview', generation],
    queryFn: () => ask<Overview>('api/overview'),
    placeholderData: (old) => old,
    refetchInterval: (q) => (q.state.status === 'error' ? 2000 : 30_000),
  });
}

/** What this browser may do here. */
export const useMay = () => useOverview().data?.may;

/** The latest statistics: of the stream, or before its first event of the overview. They may wait for more urgent work. */
export function useStats() {
  const { data } = useOverview();
  return useDeferredValue(useNow((n) => n.stats)) ?? data?.stats;
}

/** The latest health, at once. */
export function useHealth() {
  const { data } = useOverview();
  return useNow((n) => n.live?.health) ?? data?.health;
}
