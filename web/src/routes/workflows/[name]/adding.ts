import type { EditorDocument } from '$lib/editor/document.svelte';
import { portsOf } from '$lib/flow/kinds';
import { editing } from './editing.svelte';

/** What is dragged from the palette, in the terms of drag and drop. */
export const DRAGGED = 'application/x-meshhook-node';

/** The address new nodes come behind: the node, or start, that was chosen last; with nothing chosen, the one end there is. */
export function behindSelection(document: EditorDocument): string | undefined {
  const chosen = [...document.selection].findLast((item) => !item.includes(':'));
  if (chosen !== undefined) return chosen;
  const { nodes, edges } = document.definition;
  const ends = nodes.filter((node) => portsOf(node).length > 0 && !edges.some((edge) => edge.from === node.id));
  return ends.length === 1 ? ends[0]!.id : undefined;
}

/** A new node behind what is chosen, brought into sight. */
export function addBehindSelection(document: EditorDocument, type: string): void {
  editing.reveal = { address: document.add(type, { behind: behindSelection(document) }) };
}
