/** What each figure means, one click away from it. Answers count at their first byte. */
export const words = {
  hitRate: 'Of the look-ups, the share that did not wait for a load of their own: (hits + stale hits + coalesced) / (those + misses). Before the first look-up there is none. The line is that of ten points together.',
  requests: 'Requests of clients to this node, each second. The requests of these pages are not counted.',
  offload: 'The share of requests for which the origin was not called: 1 − calls / requests. Every call counts: loads, refreshes behind an answer, and what is passed on.',
  saved: 'The loads’ own durations that answers did not wait for, added up: what clients would have waited without the cache.',
  latency: 'From the arrival of a request to the first byte of its answer, by what its Cache-Status says. p99: 99 of 100 were not slower. Steps in which nothing happened have no point.',
  memory: 'What the entries of the near tier take in memory, and the bound it is held to. An eviction is an entry that had to go for room before its time.',
  shared: 'Redis or Valkey, which the nodes share. The breaker is open while it is left alone because it did not answer; a probe closes it again.',
  sharedLatency: 'How long a look-up in the shared tier took, since this node started.',
  log: 'The list of all invalidations, in the shared tier. Confirmed: at most two seconds ago this node knew it to its end. The floor: entries from before it count for nothing.',
  lag: 'Time since the latest check of the log was sent that this node has read.',
  deferred: 'Invalidations that count on this node already, and on the others once the log can be reached.',
  nodes: 'Processes on the same log, by the sign of life that each leaves there every few seconds.',
  near: 'Answered from this process, fresh.',
  sharedHit: 'Answered from the shared tier, fresh.',
  stale: 'Answered past its time, while a load ran behind, or because one failed or was slow.',
  coalesced: 'Took the answer of a load that another request had begun.',
  miss: 'Waited for a load of its own.',
  ttl: 'How long an answer of this class is fresh.',
  entries: 'Entries of this class in the near tier of this node.',
  loads: 'Calls of the origin. Errors are those that failed.',
  topKeys: 'Keys that were asked for most, weighted towards the last minutes, estimated from a sample of up to 50 requests a second. Below that rate the sample is all of them.',
  missingKeys: 'Keys for which requests waited for the origin, with the most frequent reason, from the same sample.',
  expiring: 'The fresh entries of this node’s near tier that reach their time next.',
  ttlHistogram: 'How long the entries of this node’s near tier have left. Those at 0 are stale, kept for when the origin fails.',
} as const;

export type Word = keyof typeof words;
