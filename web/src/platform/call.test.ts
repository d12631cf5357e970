import { expect, it } from 'vitest';
import { readCacheStatus } from './call';

it.each([
  ['forebay; hit; ttl=812; detail=near', { outcome: 'hit near', ttl: 812 }],
  ['forebay; hit; ttl=812; detail=shared', { outcome: 'hit shared', ttl: 812 }],
  ['forebay; hit; ttl=-3; detail=stale', { outcome: 'stale', ttl: -3, why: 'past its time' }],
  ['forebay; fwd=uri-miss; stored', { outcome: 'miss', why: 'not stored' }],
  ['forebay; fwd=uri-miss; stored; detail=invalidated', { outcome: 'miss', why: 'invalidated' }],
  ['forebay; fwd=uri-miss; collapsed', { outcome: 'joined' }],
  ['forebay; fwd=bypass; detail=no-caller', { outcome: 'bypass', why: 'no-caller' }],
  ['edge; hit, forebay; fwd=uri-miss', { outcome: 'miss' }],
  [null, { outcome: 'uncached' }],
])('%s', (field, want) => expect(readCacheStatus(field)).toMatchObject(want));
