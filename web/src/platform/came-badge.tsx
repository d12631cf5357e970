import { ms, span } from '../format';
import type { Came } from './call';

const looks: Record<Came['outcome'], string> = {
  'hit near': 'ok',
  'hit shared': 'ok',
  stale: 'degraded',
  joined: 'ok',
  miss: 'away',
  bypass: 'off',
  uncached: 'off',
};

/** How an answer came about. */
export function CameBadge({ came }: { came?: Came }) {
  if (!came) return null;
  return (
    <span className="badge" data-testid="badge" data-outcome={came.outcome}>
      <strong className={`state-${looks[came.outcome]}`}>{came.outcome}</strong>
      {came.why && <span>{came.why}</span>}
      <span>{ms(came.ms)}</span>
      {came.ttl !== undefined && <span className="soft">{came.ttl >= 0 ? `fresh for ${span(came.ttl)}` : `${span(-came.ttl)} past its time`}</span>}
    </span>
  );
}
