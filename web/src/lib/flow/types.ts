/** The components that draw each type of node and edge. */
import type { EdgeTypes, NodeTypes } from '@xyflow/svelte';
import LineEdge from './LineEdge.svelte';
import LoopNode from './LoopNode.svelte';
import StartNode from './StartNode.svelte';
import StepNode from './StepNode.svelte';

export const nodeTypes: NodeTypes = { step: StepNode, loop: LoopNode, start: StartNode };
export const edgeTypes: EdgeTypes = { line: LineEdge };
