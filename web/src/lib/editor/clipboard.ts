/** Copied nodes as text, so that they can be pasted in another tab, or kept in a file. */
import { readDefinition, type Graph } from '$lib/flow/definition';
import type { Clip } from './commands';

export const clipText = (clip: Clip): string => JSON.stringify(clip, null, 2);

/** The nodes in a text: copied ones, or a whole definition. Anything else is nothing to paste. */
export function readClip(text: string): Clip | undefined {
  if (text.length > 4_000_000) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  const { definition } = readDefinition(value);
  if (!definition?.nodes.length) return undefined;
  const ids = new Set(definition.nodes.map((node) => node.id));
  const { nodes, edges }: Graph = definition;
  return { meshhook: 'nodes', nodes, edges: edges.filter(({ from, to }) => ids.has(from) && ids.has(to)) };
}
