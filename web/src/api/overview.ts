import { useQuery } from '@tanstack/react-query';
import { ask, type Overview } from './client';
import { useNow } from './live';

/** What a page needs first. It is asked again after each gap in the stream, and tried for as long as it fails. */
export function useOverview() {
  const { generation } = useNow();
  return useQuery({
    queryKey: ['overview', generation],
    queryFn: () => ask<Overview>('api/overview'),
    placeholderData: (old) => old,
    refetchInterval: (q) => (q.state.status === 'error' ? 2000 : 30_000),
  });
}

/** The latest health and statistics: of the stream, or before its first event of the overview. */
export function useLatest() {
  const { data } = useOverview();
  const now = useNow();
  return { health: now.live?.health ?? data?.health, stats: now.stats ?? data?.stats, may: data?.may };
}
