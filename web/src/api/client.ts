import type { components } from './schema';

export type Schemas = components['schemas'];
export type Overview = Schemas['Overview'];
export type Stats = Schemas['Stats'];
export type ClassStats = Schemas['ClassStats'];
export type Health = Schemas['Health'];
export type Point = Schemas['Point'];
export type Live = Schemas['Live'];
export type Topology = Schemas['Topology'];
export type Part = Schemas['Part'];
export type Edge = Schemas['Edge'];
export type Item = Schemas['Item'];
export type Keys = Schemas['Keys'];
export type Entries = Schemas['Entries'];
export type Request = Schemas['Request'];
export type Receipt = Schemas['Receipt'];
export type Delivery = Schemas['Delivery'];
export type CDN = Schemas['CDN'];
export type Report = Schemas['Report'];
export type Step = '1s' | '10s' | '1m';

/** Where a path of the server is, wherever the pages are mounted. */
export const at = (path: string) => new URL(path, document.baseURI).href;

/** What the server refused, in its words. */
export class Refusal extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

const patience = 15_000;

export async function ask<T>(path: string, init: RequestInit = {}, timeout = patience): Promise<T> {
  const response = await fetch(at(path), { ...init, signal: init.signal ?? AbortSignal.timeout(timeout) });
  if (!response.ok) throw await refusalOf(response);
  return response.status === 204 ? (undefined as T) : ((await response.json()) as T);
}

export async function refusalOf(response: Response) {
  const problem = (await response.json().catch(() => ({}))) as { detail?: string; errors?: { message?: string; location?: string }[] };
  const where = problem.errors?.map((e) => [e.location, e.message].filter(Boolean).join(': ')).filter(Boolean).join('; ');
  return new Refusal(response.status, [problem.detail ?? response.statusText, where].filter(Boolean).join(' — '));
}

export const post = <T>(path: string, body: unknown, timeout?: number, method = 'POST') =>
  ask<T>(path, { method, headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) }, timeout);
