import { MantineProvider } from '@mantine/core';
import { QueryClient, QueryClientProvider } from '@tanstack/react-query';
import { render } from '@testing-library/react';
import type { ReactNode } from 'react';
import activity from '../../admin/testdata/activity.json';
import entries from '../../admin/testdata/entries.json';
import keys from '../../admin/testdata/keys.json';
import overview from '../../admin/testdata/overview.json';
import requests from '../../admin/testdata/requests.json';
import series from '../../admin/testdata/series.json';
import topology from '../../admin/testdata/topology.json';
import type { Entries, Item, Keys, Overview, Request, Schemas, Topology } from './api/client';

/** What the server really answers: the golden files of its tests. */
export const golden = {
  activity: activity as Item[],
  entries: entries as Entries,
  keys: keys as Keys,
  overview: overview as unknown as Overview,
  requests: requests as Request[],
  series: series as unknown as Schemas['Series'],
  topology: topology as Topology,
};

/** Answers requests of the pages by their path, and remembers what was sent. */
export function serve(answers: Record<string, unknown>) {
  const sent: { path: string; method: string; body?: unknown }[] = [];
  globalThis.fetch = (async (url: string, init?: RequestInit) => {
    const path = new URL(url).pathname.slice(1) + new URL(url).search;
    sent.push({ path, method: init?.method ?? 'GET', body: init?.body ? JSON.parse(String(init.body)) : undefined });
    const found = Object.entries(answers).find(([p]) => path.startsWith(p));
    if (found?.[1] instanceof Response) return found[1].clone();
    return found ? Response.json(found[1]) : Response.json({ detail: `nothing at ${path}` }, { status: 404 });
  }) as typeof fetch;
  return sent;
}

export function show(what: ReactNode) {
  return render(
    <MantineProvider>
      <QueryClientProvider client={new QueryClient({ defaultOptions: { queries: { retry: false } } })}>{what}</QueryClientProvider>
    </MantineProvider>,
  );
}
