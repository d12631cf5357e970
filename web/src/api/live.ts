import { useSyncExternalStore } from 'react';
import { at, type Live, type Stats } from './client';

export type Status = 'connecting' | 'live' | 'behind' | 'lost' | 'paused';

export interface Now {
  status: Status;
  live?: Live;
  stats?: Stats;
  /** Seconds since the latest figures came. */
  age: number;
  /** Events that came while the page was paused. */
  waiting: number;
  /** Counts up whenever what is shown may lack something: after a gap, a reconnection, a pause. */
  generation: number;
}

const behindAfter = 3500;

/** The stream of events: it reconnects, pauses, and says when it is behind. */
export class Feed {
  private now: Now = { status: 'connecting', age: 0, waiting: 0, generation: 0 };
  private listeners = new Set<() => void>();
  private source?: EventSource;
  private clock?: ReturnType<typeof setInterval>;
  private heard = 0;
  private number = 0;
  private paused = false;

  constructor(private readonly open: () => EventSource = () => new EventSource(at('api/events'))) {}

  subscribe = (listener: () => void) => {
    this.listeners.add(listener);
    if (this.listeners.size === 1) this.connect();
    return () => {
      this.listeners.delete(listener);
      if (this.listeners.size === 0) this.close();
    };
  };

  get = () => this.now;

  pause() {
    this.paused = true;
    this.set({ status: 'paused', waiting: 0 });
  }

  resume() {
    this.paused = false;
    this.set({ status: this.source?.readyState === 1 ? 'live' : 'lost', waiting: 0, generation: this.now.generation + 1 });
  }

  /** Ask again: what this browser may see has changed. */
  reconnect() {
    this.close();
    if (this.listeners.size > 0) this.connect();
  }

  private connect() {
    this.heard = Date.now();
    this.number = 0;
    const source = (this.source = this.open());
    // Both come together each second, the statistics first: the page is drawn once for both.
    let stats: Stats | undefined;
    source.addEventListener('stats', (e) => {
      const first = !this.now.stats;
      if (!this.paused) stats = JSON.parse(e.data) as Stats;
      if (first) this.hear(() => ({ stats }));
    });
    source.addEventListener('live', (e) => {
      const number = Number(e.lastEventId);
      const gap = this.number > 0 && number !== this.number + 1;
      this.number = number;
      this.hear(() => ({ live: JSON.parse(e.data) as Live, stats: stats ?? this.now.stats, generation: this.now.generation + (gap ? 1 : 0) }));
    });
    source.addEventListener('error', () => {
      if (source.readyState === 2) {
        // The browser has given up: the server refused, or is gone for good.
        setTimeout(() => this.source === source && this.reconnect(), 2000);
      }
      this.number = 0;
      if (!this.paused) this.set({ status: 'lost', generation: this.now.generation + 1 });
    });
    this.clock = setInterval(() => this.look(), 1000);
  }

  private close() {
    this.source?.close();
    this.source = undefined;
    clearInterval(this.clock);
  }

  private hear(news: () => Partial<Now>) {
    this.heard = Date.now();
    if (this.paused) this.set({ waiting: this.now.waiting + 1 });
    else this.set({ ...news(), status: 'live', age: 0 });
  }

  private look() {
    const age = Date.now() - this.heard;
    if (age < behindAfter || this.paused) return;
    this.set({ age: Math.round(age / 1000), status: this.now.status === 'live' ? 'behind' : this.now.status });
  }

  private set(part: Partial<Now>) {
    this.now = { ...this.now, ...part };
    this.listeners.forEach((listener) => listener());
  }
}

export const feed = new Feed();

/** A part of what is known now: whoever uses it is drawn again when that part changes, and not before. */
export const useNow = <T>(part: (now: Now) => T): T => useSyncExternalStore(feed.subscribe, () => part(feed.get()));
