import { redirect } from '@sveltejs/kit';
import { api, ask } from '$lib/api/client';

/** Who has run nothing yet is shown how; everybody else begins with the workflows. */
export async function load(): Promise<never> {
  const first = await ask(api.GET('/api/v1/runs', { params: { query: { limit: 1 } } })).catch(() => undefined);
  redirect(307, first && first.items.length === 0 && first.next === null ? '/welcome' : '/workflows');
}
