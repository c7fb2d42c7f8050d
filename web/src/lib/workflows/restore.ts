import { api, ask, type Schemas } from '$lib/api/client';

/** A deleted workflow as it was, publication included. */
export const restore = (name: string): Promise<Schemas['Workflow']> =>
  ask(api.POST('/api/v1/workflows/{name}/restore', { params: { path: { name } } }));
