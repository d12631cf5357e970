import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { golden } from '../fixtures';
import { Feed } from './live';

class Source extends EventTarget {
  readyState = 1;
  closed = false;
  close() {
    this.closed = true;
  }
  tell(number: number) {
    this.dispatchEvent(Object.assign(new MessageEvent('live', { data: JSON.stringify({ point: golden.series.points[0] }), lastEventId: String(number) })));
  }
}

let sources: Source[];
let feed: Feed;
let stop: () => void;

beforeEach(() => {
  vi.useFakeTimers();
  sources = [];
  feed = new Feed(() => {
    const s = new Source();
    sources.push(s);
    return s as unknown as EventSource;
  });
  stop = feed.subscribe(() => {});
});
afterEach(() => {
  stop();
  vi.useRealTimers();
});

it('is live while it hears, and behind when it does not', () => {
  expect(feed.get().status).toBe('connecting');
  sources[0]!.tell(1);
  expect(feed.get()).toMatchObject({ status: 'live', age: 0, generation: 0 });
  vi.advanceTimersByTime(5000);
  expect(feed.get()).toMatchObject({ status: 'behind', age: 5 });
  sources[0]!.tell(2);
  expect(feed.get().status).toBe('live');
});

it('asks again after a gap, a reconnection and a pause', () => {
  sources[0]!.tell(1);
  sources[0]!.tell(3);
  expect(feed.get().generation).toBe(1);
  sources[0]!.dispatchEvent(new Event('error'));
  expect(feed.get()).toMatchObject({ status: 'lost', generation: 2 });
  feed.pause();
  sources[0]!.tell(4);
  expect(feed.get()).toMatchObject({ status: 'paused', waiting: 1, generation: 2 });
  feed.resume();
  expect(feed.get()).toMatchObject({ status: 'live', waiting: 0, generation: 3 });
});

it('connects again when the browser has given up, and closes with its last reader', () => {
  sources[0]!.readyState = 2;
  sources[0]!.dispatchEvent(new Event('error'));
  vi.advanceTimersByTime(2500);
  expect(sources).toHaveLength(2);
  stop();
  expect(sources[1]!.closed).toBe(true);
});
