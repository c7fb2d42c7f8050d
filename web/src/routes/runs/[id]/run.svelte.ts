/** One run as it goes: where it stands, and its steps, read again when something has happened to it. */
import { api, ask, type Schemas } from '$lib/api/client';
import { asProblem, Problem } from '$lib/api/problem';
import { Live } from '$lib/live.svelte';
import type { ListedRun } from '$lib/runs/describe';
import { stepsOfItems } from '$lib/runs/items';
import type { Step } from '$lib/runs/steps';
import { LIVE } from '$lib/runs/filter';

const PAUSE_MS = 150;

export class WatchedRun {
  readonly id: string;
  run = $state.raw<ListedRun | undefined>();
  steps = $state.raw<Schemas['StepPage'] | undefined>();
  /** Steps of items of its loops, read where they are to be seen. */
  inner = $state.raw<readonly Step[]>([]);
  problem = $state.raw<Problem | undefined>();
  stepsProblem = $state.raw<Problem | undefined>();
  /** The number of the last event one has heard of: what shows more than this object holds reads again when it grows. */
  seq = $state(0);
  live = $state.raw<Live | undefined>();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isOver = false;

  constructor(id: string) {
    this.id = id;
  }

  get isLive(): boolean {
    return this.run !== undefined && LIVE.has(this.run.status);
  }

  async start(): Promise<void> {
    this.problem = undefined;
    await this.read();
    if (!this.#isOver && this.isLive) this.#watch();
  }

  close(): void {
    this.#isOver = true;
    clearTimeout(this.#timer);
    this.live?.close();
  }

  async read(): Promise<void> {
    const path = { id: this.id };
    const [run, steps] = await Promise.allSettled([
      ask(api.GET('/api/v1/runs', { params: { query: { q: this.id, limit: 1 } } })),
      ask(api.GET('/api/v1/runs/{id}/steps', { params: { path } }))
    ]);
    if (this.#isOver) return;
    if (run.status === 'rejected') this.problem = asProblem(run.reason);
    else {
      const found = run.value.items.find(({ id }) => id === this.id.toLowerCase());
      this.problem = found ? undefined : unknown(this.id);
      this.run = found ?? this.run;
    }
    if (steps.status === 'rejected') this.stepsProblem = asProblem(steps.reason);
    else {
      this.stepsProblem = undefined;
      this.steps = steps.value;
      const inner = await stepsOfItems(this.id, steps.value.items).catch(() => undefined); // the loops are told without
      if (this.#isOver) return;
      this.inner = inner ?? this.inner;
      this.seq = Math.max(this.seq, steps.value.seq);
    }
  }

  #watch(): void {
    this.live = new Live(`/api/v1/runs/${this.id}/stream?after=${this.steps?.seq ?? 0}`, {
      onEvents: (events) => {
        this.seq = Math.max(this.seq, events.at(-1)!.seq);
        const status = events.at(-1)!.run_status as ListedRun['status'];
        if (this.run && this.run.status !== status) this.run = { ...this.run, status };
        this.#soon();
      },
      onPoll: () => void this.#again()
    });
  }

  /** Many events are one look. */
  #soon(): void {
    this.#timer ??= setTimeout(() => void this.#again(), PAUSE_MS);
  }

  async #again(): Promise<void> {
    const upTo = this.seq;
    await this.read();
    this.#timer = undefined;
    if (this.#isOver) return;
    if (this.seq > upTo || (this.steps && this.steps.complete && this.steps.seq < this.seq)) this.#soon();
    else if (!this.isLive) this.live?.close();
  }
}

const unknown = (id: string): Problem =>
  new Problem({
    title: 'There is no such run',
    detail: `No run ${id.slice(0, 64)} is kept. It may be of another project, or older than what is kept.`,
    status: 404
  });
