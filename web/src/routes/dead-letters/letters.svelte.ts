/** Dead letters, page after page, and those that are added meanwhile. */
import { api, ask, type Schemas } from '$lib/api/client';
import { asProblem, type Problem } from '$lib/api/problem';
import { Live } from '$lib/live.svelte';
import type { LetterFilter } from '$lib/runs/operation.svelte';

export type Letter = Schemas['DeadLetter'];
const PAGE = 200;
const PATIENCE_MS = 500;

export class Letters {
  items = $state.raw<Letter[]>([]);
  next = $state<string | null>(null);
  problem = $state.raw<Problem | undefined>();
  starting = $state(true);
  loading = $state(false);
  /** Runs that failed since the list was read. */
  fresh = $state(0);
  atTop = true;
  live = $state.raw<Live | undefined>();
  readonly filter: LetterFilter;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isOver = false;

  constructor(filter: LetterFilter) {
    this.filter = filter;
  }

  get goesOn(): boolean {
    return this.next !== null && !this.loading && !this.problem;
  }

  async start(): Promise<void> {
    const wanted = new URLSearchParams({ type: 'run.failed' });
    if (this.filter.workflow) wanted.set('workflow', this.filter.workflow);
    this.live ??= new Live(`/api/v1/stream?${wanted}`, {
      onEvents: (events) => {
        this.fresh += events.length;
        if (this.atTop) this.#timer ??= setTimeout(() => void this.refresh(), PATIENCE_MS);
      },
      onOpen: () => void this.refresh(),
      onPoll: () => void (this.atTop && this.refresh())
    });
    await this.refresh();
  }

  close(): void {
    this.#isOver = true;
    clearTimeout(this.#timer);
    this.live?.close();
  }

  /** From the beginning, as far as a page goes; what is shown stays until it is there. */
  async refresh(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    await this.#read(undefined);
    this.starting = false;
  }

  async more(): Promise<void> {
    if (this.next !== null && !this.loading) await this.#read(this.next);
  }

  /** Somebody has dealt with them. */
  without(ids: ReadonlySet<string>): void {
    this.items = this.items.filter(({ run_id }) => !ids.has(run_id));
  }

  async #read(cursor: string | undefined): Promise<void> {
    this.loading = true;
    try {
      const query = { ...this.filter, cursor, limit: PAGE };
      const page = await ask(api.GET('/api/v1/dead-letters', { params: { query } }));
      if (this.#isOver) return;
      if (cursor === undefined) this.fresh = 0;
      this.items = cursor === undefined ? page.items : [...this.items, ...page.items];
      this.next = page.next;
      this.problem = undefined;
    } catch (error) {
      this.problem = asProblem(error);
    }
    this.loading = false;
  }
}
