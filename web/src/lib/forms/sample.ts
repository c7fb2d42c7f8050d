import { api, ask } from '$lib/api/client';
import type { Context } from './evaluator.svelte';

/** What expressions of a node saw in the last run: real data to complete from and to preview with. */
export interface Sample {
  runId: string;
  at: string;
  trigger: Record<string, unknown>;
  /** Inputs and outputs by the path of a step. */
  inputs: Map<string, unknown>;
  outputs: Map<string, unknown>;
}

const whole = (payload: unknown): unknown => {
  const shown = payload as { value?: unknown; truncated?: boolean } | null | undefined;
  return shown && typeof shown === 'object' && 'value' in shown ? shown.value : undefined;
};

/** The newest run of a workflow, or nothing when it never ran. @throws Problem */
export async function lastRun(workflow: string): Promise<Sample | undefined> {
  const { items } = await ask(api.GET('/api/v1/runs', { params: { query: { workflow: [workflow], limit: 1 } } }));
  const found = items[0];
  return found && sampleOf(found.id);
}

export async function sampleOf(id: string): Promise<Sample> {
  const [run, steps] = await Promise.all([
    ask(api.GET('/api/v1/runs/{id}', { params: { path: { id } } })),
    ask(api.GET('/api/v1/runs/{id}/steps', { params: { path: { id } } }))
  ]);
  const inputs = new Map<string, unknown>();
  const outputs = new Map<string, unknown>();
  for (const step of steps.items) {
    if (step.input) inputs.set(step.path, whole(step.input));
    if (step.output) outputs.set(step.path, whole(step.output));
  }
  return { runId: id, at: run.accepted_at, trigger: run.trigger as Record<string, unknown>, inputs, outputs };
}

/** What an expression of the node at this path sees; outside a loop its real input, else that of the trigger. */
export function contextOf(sample: Sample, path: string): Context {
  const steps = Object.fromEntries([...sample.outputs].filter(([name]) => !name.includes('.')));
  return {
    input: sample.inputs.get(path) ?? sample.trigger.body,
    trigger: sample.trigger,
    steps,
    run: { id: sample.runId }
  };
}

/** Names to go on with behind a path such as `input.items[].pr`: the members of what stands there. Pure. */
export function completions(context: Context, before: string): { from: number; names: string[] } {
  const path = /(?:[A-Za-z_][\w]*(?:\[[^\]]*\])?\.)*[A-Za-z_]?\w*$/.exec(before)?.[0] ?? '';
  const parts = path.split('.');
  const last = parts.pop() ?? '';
  let at: unknown = context;
  for (const part of parts) {
    const [name = '', index] = part.split('[');
    at = (at as Record<string, unknown> | undefined)?.[name];
    if (index !== undefined && Array.isArray(at)) at = at[0] as unknown;
    else if (Array.isArray(at)) at = undefined;
  }
  const names = at && typeof at === 'object' && !Array.isArray(at) ? Object.keys(at) : [];
  return { from: before.length - last.length, names: names.filter((name) => /^[A-Za-z_]\w*$/.test(name)) };
}
