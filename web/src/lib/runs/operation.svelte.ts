/** One operation over many runs, followed to its end. Workers do it; this only looks, and can tell it to stop. */
import { api, ask, type Schemas } from '$lib/api/client';
import { asProblem, type Problem } from '$lib/api/problem';

export type LetterFilter = Partial<Schemas['LetterFilter']>;
/** What is to be done, and to which runs; what is left out has the value the API says. */
export type Wanted = Partial<Omit<Schemas['OperationWanted'], 'kind' | 'filter'>> & {
  kind: Schemas['OperationWanted']['kind'];
  filter: LetterFilter;
};
const LOOK_MS = 400;

const post = (wanted: Wanted): Promise<unknown> =>
  ask(api.POST('/api/v1/operations', { body: wanted as Schemas['OperationWanted'] }));

/** What it would go over now. Nothing is done. */
export async function preview(wanted: Wanted): Promise<Schemas['Preview']> {
  return (await post({ ...wanted, dry_run: true })) as Schemas['Preview'];
}

export class Operation {
  now = $state.raw<Schemas['Operation'] | undefined>();
  problem = $state.raw<Problem | undefined>();
  #timer: ReturnType<typeof setTimeout> | undefined;

  async begin(wanted: Wanted): Promise<void> {
    this.now = (await post(wanted)) as Schemas['Operation'];
    this.#follow();
  }

  async stop(): Promise<void> {
    if (this.now)
      this.now = await ask(api.DELETE('/api/v1/operations/{id}', { params: { path: { id: this.now.id } } }));
  }

  /** Looks no more; the operation goes on. */
  leave(): void {
    clearTimeout(this.#timer);
  }

  #follow(): void {
    if (this.now?.state !== 'working') return;
    const id = this.now.id;
    this.#timer = setTimeout(async () => {
      try {
        this.now = await ask(api.GET('/api/v1/operations/{id}', { params: { path: { id } } }));
        this.problem = undefined;
      } catch (error) {
        this.problem = asProblem(error);
      }
      this.#follow();
    }, LOOK_MS);
  }
}
