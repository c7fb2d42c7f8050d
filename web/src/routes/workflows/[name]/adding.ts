import type { EditorDocument } from '$lib/editor/document.svelte';
import { editing } from './editing.svelte';

/** What is dragged from the palette, in the terms of drag and drop. */
export const DRAGGED = 'application/x-meshhook-node';

/** The address new nodes come behind: the node, or start, that was chosen last. */
export function behindSelection(document: EditorDocument): string | undefined {
  return [...document.selection].findLast((item) => !item.includes(':'));
}

/** A new node behind what is chosen, brought into sight. */
export function addBehindSelection(document: EditorDocument, type: string): void {
  editing.reveal = { address: document.add(type, { behind: behindSelection(document) }) };
}
