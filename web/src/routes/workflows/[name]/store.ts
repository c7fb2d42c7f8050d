import { api, ask } from '$lib/api/client';
import type { Store } from '$lib/editor/draft.svelte';

/** The draft of a workflow, kept by the API. Unfinished ones are kept too, with their faults told. */
export function draftStore(name: string): Store {
  const path = { name };
  return {
    load: () => ask(api.GET('/api/v1/workflows/{name}', { params: { path } })),
    save: (definition, etag) =>
      ask(
        api.PUT('/api/v1/workflows/{name}', {
          params: { path, query: { faulty: true }, ...(etag !== undefined && { header: { 'if-match': etag } }) },
          body: definition as never
        })
      ),
    judge: (definition) =>
      ask(
        api.POST('/api/v1/definitions/validate', {
          params: { query: { workflow: name } },
          body: definition as never
        })
      )
  };
}
