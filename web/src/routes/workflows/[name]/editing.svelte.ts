import type { Point } from '$lib/flow/drawing';

/** A new node is being looked for: where it goes. */
export interface Adding {
  /** In the graph of this scope, at this place. */
  scope?: string;
  at?: Point;
  behind?: string | undefined;
  port?: string | undefined;
}

/** Which of the small windows over the canvas is open. */
class Editing {
  /** For another workflow, nothing is open. */
  reset(): void {
    this.adding = this.connectFrom = this.reveal = undefined;
    this.keys = false;
  }

  adding = $state.raw<Adding | undefined>();
  /** The node a connection is to be made from, by the keyboard. */
  connectFrom = $state<string | undefined>();
  keys = $state(false);
  /** A node the canvas is to bring into sight, without a change of zoom where it is there already. */
  reveal = $state.raw<{ address: string } | undefined>();
}

export const editing = new Editing();
