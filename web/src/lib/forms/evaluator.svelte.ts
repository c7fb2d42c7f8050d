import { untrack } from 'svelte';
import { api, ask, type Schemas } from '$lib/api/client';

export type Context = Record<string, unknown>;
export type Evaluated = Schemas['Evaluated'];

interface Asked {
  kind: 'expression' | 'template';
  source: unknown;
  told: (answer: Evaluated | undefined) => void;
}

/**
 * What expressions give over a context, evaluated by the engine itself, so that a preview never disagrees with a run. All fields that
 * change within a moment are asked for in one call; an answer that was overtaken is dropped.
 */
export class Evaluator {
  context = $state.raw<Context | undefined>();
  readonly #asked = new Map<string, Asked>();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #turn = 0;

  /** Ask again whenever the source of a field, or the context, changes. `key` names the field. */
  ask(key: string, kind: Asked['kind'], source: unknown, told: Asked['told']): void {
    this.#asked.set(key, { kind, source, told });
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#evaluate(), 200);
  }

  forget(key: string): void {
    this.#asked.delete(key);
  }

  async #evaluate(): Promise<void> {
    const context = untrack(() => this.context);
    const asked = [...this.#asked.values()].slice(0, 200);
    const turn = ++this.#turn;
    if (!context || asked.length === 0) return;
    try {
      const expressions = asked.map(({ kind, source }) => ({ kind, source, secrets: kind === 'template' }));
      const { items } = await ask(
        api.POST('/api/v1/expressions/evaluate', {
          body: { expressions, context } as never
        })
      );
      if (turn === this.#turn) items.forEach((item, at) => asked[at]?.told(item));
    } catch {
      if (turn === this.#turn) for (const { told } of asked) told(undefined);
    }
  }
}
