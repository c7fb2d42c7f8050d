import { api, ask } from '$lib/api/client';
import { readDefinition, type Definition } from '$lib/flow/definition';

/** What was published under a number. */
export async function versionOf(name: string, number: number): Promise<Definition> {
  const path = { name, number };
  const version = await ask(api.GET('/api/v1/workflows/{name}/versions/{number}', { params: { path } }));
  const { definition, reason } = readDefinition(version.definition);
  if (!definition) throw new Error(reason);
  return definition;
}
