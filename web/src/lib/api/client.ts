/**
 * The one way from the pages to the API: typed by the OpenAPI document, every failure a `Problem` with what to do.
 *
 *     const page = await ask(api.GET('/api/v1/runs', { params: { query: { status: 'failed' } } }));
 */
import createClient from 'openapi-fetch';
import type { components, paths } from './schema';
import { Problem, problemOf } from './problem';
import { connection } from './connection.svelte';
import { leadToSignIn } from '$lib/account/lead';

export type Schemas = components['schemas'];

const client = createClient<paths>({ baseUrl: '/', credentials: 'same-origin' });
client.use({
  onResponse: () => connection.answered(),
  onError: () => {
    connection.failed();
    return new Problem({
      title: 'MeshHook does not answer',
      detail: 'The server is stopped or out of reach. It is tried again by itself.',
      status: 0
    });
  }
});

export const api = client;

/**
 * The data of an answer. Who has to sign in for it is led there, after the caller knows: it may hold what is not saved.
 * @throws Problem when the API refused, or nobody answered.
 */
export async function ask<T>(call: Promise<{ data?: T; error?: unknown; response: Response }>): Promise<T> {
  const { data, error, response } = await call;
  if (!response.ok) {
    const problem = problemOf(error, response);
    if (problem.needsSignIn) setTimeout(leadToSignIn);
    throw problem;
  }
  return data as T;
}
