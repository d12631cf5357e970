/** What the platform answers, as far as these pages read it. */
export interface Template {
  id: string;
  name: string;
  category: string;
  description: string;
  complexity: string;
  expected_runtime_s: number;
  parameters: { name: string; type: string; required: boolean; default?: unknown }[];
}

export interface State {
  query_id: string;
  status: string;
  progress: number;
}

export interface Result {
  rows: Record<string, unknown>[];
  summary: unknown;
}
