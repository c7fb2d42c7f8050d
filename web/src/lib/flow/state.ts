/** Where a node stands in a run, to be drawn on it: by its address. A node without one was not reached yet. */
export type Standing = 'running' | 'waiting' | 'completed' | 'failed' | 'skipped' | 'cancelled';

export interface NodeState {
  readonly standing: Standing;
  /** The port it was left by; where that is not known, all its lines count as taken. */
  readonly port?: string;
  /** A few characters at the edge of the node: how long it took, or `8/20` of a loop. */
  readonly note?: string;
  /** It went on although something in it failed. */
  readonly warns?: boolean;
  /** More about it, on demand: the error, say. */
  readonly title?: string;
}

export type NodeStates = Readonly<Record<string, NodeState>>;
