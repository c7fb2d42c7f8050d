/** The same done to each of some chosen runs, a few at a time: how far it is, and what was refused. */
import { api, ask } from '$lib/api/client';
import { asProblem } from '$lib/api/problem';

export type BulkKind = 'cancel' | 'replay' | 'discard';
const AT_ONCE = 6;

export class Bulk {
  readonly kind: BulkKind;
  readonly ids: readonly string[];
  begun = $state(false);
  done = $state(0);
  refused = $state.raw<{ id: string; why: string }[]>([]);
  isOver = $state(false);
  #stopped = false;
  readonly #key = crypto.randomUUID();

  constructor(kind: BulkKind, ids: readonly string[]) {
    this.kind = kind;
    this.ids = ids;
  }

  async run(): Promise<void> {
    this.begun = true;
    const left = [...this.ids];
    const take = async (): Promise<void> => {
      for (let id = left.shift(); id !== undefined && !this.#stopped; id = left.shift()) await this.#one(id);
    };
    await Promise.all(Array.from({ length: AT_ONCE }, take));
    this.isOver = true;
  }

  stop(): void {
    this.#stopped = true;
  }

  async #one(id: string): Promise<void> {
    const path = { id };
    try {
      if (this.kind === 'cancel') await ask(api.POST('/api/v1/runs/{id}/cancel', { params: { path } }));
      if (this.kind === 'discard') await ask(api.DELETE('/api/v1/dead-letters/{id}', { params: { path } }));
      // With a key, so that a call whose answer was lost begins no second run when it is sent again.
      if (this.kind === 'replay')
        await ask(
          api.POST('/api/v1/runs/{id}/replay', {
            params: { path, header: { 'idempotency-key': `${this.#key}-${id}` } }
          })
        );
      this.done++;
    } catch (error) {
      this.refused = [...this.refused, { id, why: asProblem(error).message }];
    }
  }
}
