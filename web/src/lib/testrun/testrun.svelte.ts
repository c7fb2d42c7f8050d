import { api, ask, type Schemas } from '$lib/api/client';
import { asProblem, type Problem } from '$lib/api/problem';
import type { Draft } from '$lib/editor/draft.svelte';
import { faultsOf, type Fault } from '$lib/editor/problems';
import type { Definition } from '$lib/flow/definition';
import { withoutPlaces } from '$lib/flow/layout';
import type { NodeStates } from '$lib/flow/state';
import { Live } from '$lib/live.svelte';
import { addressOfPin, loopPath, stepPath } from './path';
import { Pinboard } from './pinboard.svelte';
import { kept, pinOf, told, usable, type PinMap, type Step } from './pins';
import { errorText } from '$lib/runs/error';
import { stepsOfItems } from '$lib/runs/items';
import { statesOf } from './states';

export type RunStatus = Schemas['StepPage']['status'];

/** What a test run begins with: the body of its trigger, or all that another run began with. */
export type Input = { input: unknown } | { run_id: string };

/** A run that was started here, with what it was started with. */
interface Started {
  id: string;
  definition: Definition;
  /** By address, as they were sent. */
  pins: PinMap;
}

const ENDED: ReadonlySet<RunStatus> = new Set(['completed', 'failed', 'cancelled']);

/** The test run that is shown in the editor of a workflow: started from what is on the canvas, followed until it has ended. */
export class TestRun {
  readonly name: string;
  readonly draft: Draft;
  readonly board: Pinboard;
  run = $state.raw<Started | undefined>();
  status = $state<RunStatus | undefined>();
  steps = $state.raw<readonly Step[]>([]);
  states = $state.raw<NodeStates>({});
  /** What came of the whole run, once it has ended. */
  ended = $state.raw<Schemas['RunDetail'] | undefined>();
  starting = $state(false);
  /** Why no run was started, or why it can't be followed. */
  problem = $state.raw<Problem | undefined>();
  /** The same by place, where the definition or a pin has faults. */
  faults = $state.raw<readonly Fault[]>([]);
  /** What happened last, for those who do not see it. */
  news = $state('');
  /** Whether the canvas shows something else than what was run. */
  readonly isChanged: boolean = $derived.by(() => {
    const now = this.draft.document.definition;
    return this.run !== undefined && this.run.definition !== now && plain(this.run.definition) !== plain(now);
  });
  /** Pins a run started now would have. */
  readonly pins: PinMap = $derived.by(() => usable(this.draft.document.definition, this.board.pins));
  #live: Live | undefined;
  #reading = false;
  #again = false;

  constructor(name: string, draft: Draft) {
    this.name = name;
    this.draft = draft;
    this.board = new Pinboard(name);
  }

  get isUnderWay(): boolean {
    return this.starting || (this.run !== undefined && this.problem === undefined && !ENDED.has(this.status!));
  }

  /** Starts what is on the canvas, and follows it. */
  async start(input: Input, pins: PinMap = this.pins): Promise<void> {
    if (this.starting) return;
    const definition = this.draft.document.definition;
    this.starting = true;
    this.problem = undefined;
    this.faults = [];
    this.news = 'The test run begins.';
    try {
      const body = { ...input, definition, pins: told(pins) } as never;
      const path = { name: this.name };
      const begun = await ask(api.POST('/api/v1/workflows/{name}/test-runs', { params: { path }, body }));
      this.#follow({ id: begun.run_id, definition, pins });
    } catch (error) {
      this.#refused(asProblem(error), definition);
    }
    this.starting = false;
  }

  /** Does a node and all behind it again, with the input of the run that is shown. What came before gives what it gave. */
  async startFrom(address: string): Promise<void> {
    if (!this.run || this.starting) return;
    const { id, pins: sent } = this.run;
    this.problem = undefined;
    try {
      const steps = kept(this.draft.document.definition, address, this.steps);
      const outputs = await Promise.all(steps.map((step) => this.#output(id, step)));
      const given = Object.fromEntries(steps.map((step, at) => [step.path, pinOf(step, outputs[at], sent)]));
      const pins = usable(this.draft.document.definition, { ...given, ...this.board.pins });
      await this.start({ run_id: id }, pins);
    } catch (error) {
      this.problem = asProblem(error);
    }
  }

  /** The node gives from now on what it gave in the run that is shown. */
  async pin(address: string, step: Step): Promise<void> {
    if (!this.run) return;
    const output = await this.#output(this.run.id, step);
    this.board.set(address, { output, port: this.run.pins[address]?.port ?? step.port ?? 'out' });
    this.news = `${address} is pinned.`;
  }

  unpin(address: string): void {
    this.board.remove(address);
    this.news = `${address} is not pinned any more.`;
  }

  /** A step of the run as lists tell it; nothing where the run has no such step. `items`: of the loops around it, outermost first. */
  async step(id: string, address: string, items: readonly number[]): Promise<Step | undefined> {
    const path = stepPath(address, items);
    const within = loopPath(address, items);
    if (within === undefined) return this.steps.find((step) => step.path === path);
    const query = { within, start: items[address.split('/').length - 2] ?? 0, limit: 1 };
    const page = await ask(api.GET('/api/v1/runs/{id}/steps', { params: { path: { id }, query } }));
    return page.items.find((step) => step.path === path);
  }

  /** The same with all of its input and output. */
  async whole(id: string, path: string): Promise<Step> {
    return (await ask(api.GET('/api/v1/runs/{id}/steps/{path}', { params: { path: { id, path } } }))).step;
  }

  async #output(id: string, step: Step): Promise<unknown> {
    const output = step.output?.truncated ? (await this.whole(id, step.path)).output : step.output;
    return output?.value ?? null;
  }

  #refused(problem: Problem, definition: Definition): void {
    this.problem = problem;
    this.faults = faultsOf(definition, problem.errors, []).map((fault) => {
      const pin = /^\$\.pins\.([\w.]+?)(?:\.port)?$/.exec(fault.path)?.[1];
      return pin === undefined ? fault : { ...fault, address: addressOfPin(pin), item: addressOfPin(pin) };
    });
    this.news = 'No run was started.';
  }

  #follow(run: Started): void {
    this.close();
    this.run = run;
    this.status = 'queued';
    this.steps = [];
    this.states = {};
    this.ended = undefined;
    const read = (): void => void this.#read(run);
    this.#live = new Live(`/api/v1/runs/${run.id}/stream`, { onEvents: read, onPoll: read });
    read();
  }

  /** Reads the steps, and once more when something happened meanwhile. */
  async #read(run: Started): Promise<void> {
    this.#again = true;
    if (this.#reading) return;
    this.#reading = true;
    while (this.#again && this.run === run) {
      this.#again = false;
      await this.#readOnce(run);
    }
    this.#reading = false;
    if (this.#again && this.run) void this.#read(this.run); // another run was started meanwhile
  }

  async #readOnce(run: Started): Promise<void> {
    const path = { id: run.id };
    try {
      const page = await ask(api.GET('/api/v1/runs/{id}/steps', { params: { path } }));
      const inner = await stepsOfItems(run.id, page.items);
      const ended = ENDED.has(page.status) ? await ask(api.GET('/api/v1/runs/{id}', { params: { path } })) : undefined;
      if (this.run !== run) return;
      this.steps = page.items;
      this.states = statesOf([...page.items, ...inner], run.pins, this.states);
      this.status = page.status;
      this.problem = undefined;
      if (ended) this.#end(ended);
    } catch (error) {
      if (this.run === run) this.problem = asProblem(error);
    }
  }

  #end(ended: Schemas['RunDetail']): void {
    if (this.ended) return;
    this.ended = ended;
    this.#live?.close();
    const failed = this.steps.find(({ status }) => status === 'failed');
    const where = failed ? ` at ${failed.path}` : '';
    const why = ended.status === 'failed' ? `${where}: ${errorText(ended.error) ?? 'it says no reason'}` : '';
    this.news = `The test run is ${ended.status}${why}.`;
  }

  /** Follows the run again after that could not be done. */
  retry(): void {
    if (this.run) this.#follow(this.run);
  }

  close(): void {
    this.#live?.close();
    this.#live = undefined;
  }
}

const plain = (definition: Definition): string => JSON.stringify(withoutPlaces(definition));
