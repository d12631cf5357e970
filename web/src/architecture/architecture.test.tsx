import { expect, it } from 'vitest';
import { golden } from '../fixtures';
import { wayOf } from './follow';
import { figureText, widthOf } from './picture';

it('follows a miss to the origin and back', () => {
  const miss = golden.requests.find((r) => r.outcome === 'miss')!;
  expect(wayOf(miss).map((s) => s.part)).toEqual(['clients', 'front', 'near', 'origin', 'clients']);
  const hit = golden.requests.find((r) => r.outcome === 'near')!;
  expect(wayOf(hit).map((s) => s.part)).toEqual(['clients', 'front', 'near', 'clients']);
  const failed = golden.requests.find((r) => r.status >= 500)!;
  expect(wayOf(failed).map((s) => s.text)).toContain('origin: failed (the origin is down)');
});

it('has a figure in words for everything the picture shows', () => {
  for (const part of golden.topology.parts) {
    for (const f of part.figures) expect(figureText(f), `${part.id} ${f.name}`).not.toBe('');
  }
  const shared = golden.topology.parts.find((p) => p.id === 'shared')!;
  expect(shared.state).toBe('off');
});

it('is wider where more flows, and thin where nothing does', () => {
  expect(widthOf(0)).toBeLessThan(widthOf(1));
  expect(widthOf(10)).toBeLessThan(widthOf(1000));
  expect(widthOf(1e6)).toBeLessThan(20);
});
