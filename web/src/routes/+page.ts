import { redirect } from '@sveltejs/kit';
import { account } from '$lib/account/account.svelte';
import { SIGN_IN } from '$lib/account/address';
import { api, ask } from '$lib/api/client';

/** Who has to sign in does that first. Who has run nothing yet is shown how; everybody else begins with the workflows. */
export async function load(): Promise<never> {
  const session = await account.read().catch(() => undefined);
  if (session && !session.signed_in) redirect(307, SIGN_IN);
  const first = await ask(api.GET('/api/v1/runs', { params: { query: { limit: 1 } } })).catch(() => undefined);
  redirect(307, first && first.items.length === 0 && first.next === null ? '/welcome' : '/workflows');
}
