/**
 * The list of runs: pages of the API one after the other, and what happens meanwhile.
 *
 * Runs it shows are changed in place as their events come; new ones are read with the newest page and put in front, when somebody looks at
 * the top, and are counted when somebody reads further down. The list is in the order of ids, newest first, whatever comes when.
 */
import { api, ask, type Schemas } from '$lib/api/client';
import { asProblem, type Problem } from '$lib/api/problem';
import { Live, type LiveEvent } from '$lib/live.svelte';
import type { ListedRun } from './describe';
import { mayPass, queryOf, type RunFilter, type RunStatus } from './filter';

/** What moves a run from one state to another; what its steps give is not read here. */
const TYPES = [
  ...['run.accepted', 'run.completed', 'run.failed', 'run.cancelled', 'run.paused', 'run.resumed'],
  ...['lease.taken', 'lease.released', 'timer.set', 'wait.set', 'call.started', 'call.failed', 'child.started']
];
type Page = Schemas['RunPage'];

const ENDED = new Set(['completed', 'failed', 'cancelled']);
const PAGE = 200;
const FIRST_PAGE = 100;
const REFRESH_MS = 1000;
const EMPTY_PAGES = 25;

export class RunList {
  items = $state.raw<ListedRun[]>([]);
  problem = $state.raw<Problem | undefined>();
  /** Nothing is known yet. */
  starting = $state(true);
  loading = $state(false);
  next = $state<string | null>(null);
  /** So far back all runs were looked at; `null`: all there are. */
  lookedTo = $state<string | null>(null);
  matched = $state<Page['matched']>(null);
  /** So many pages in a row held nothing that nobody asked for the next one: somebody has to say so. */
  isTired = $state(false);
  #empty = 0;
  /** Runs that came and are not shown yet. */
  readonly #fresh = new Set<string>();
  freshCount = $state(0);
  live = $state.raw<Live | undefined>();
  /** Whether new runs may be put in front. */
  atTop = true;

  readonly filter: RunFilter;
  #known = new Map<string, number>();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isOver = false;
  readonly #added: (rows: number) => void;

  /** `added` is told how many rows came in front of those that were there. */
  constructor(filter: RunFilter, added: (rows: number) => void) {
    this.filter = filter;
    this.#added = added;
  }

  async start(): Promise<void> {
    this.problem = undefined;
    this.starting = true;
    await this.#newest();
    this.starting = false;
    if (!this.#isOver && !this.problem) this.#watch();
  }

  close(): void {
    this.#isOver = true;
    clearTimeout(this.#timer);
    this.live?.close();
  }

  /** Whether the next page should be read when the end comes into sight. Short and empty pages are followed by themselves. */
  get goesOn(): boolean {
    return this.next !== null && !this.loading && !this.isTired && !this.problem;
  }

  /** Goes on after it was stopped, by itself or by somebody. */
  async further(): Promise<void> {
    this.#empty = 0;
    this.isTired = false;
    await this.more();
  }

  stop(): void {
    this.isTired = true;
  }

  /** The page behind the last. */
  async more(): Promise<void> {
    const cursor = this.next;
    if (this.loading || cursor === null || this.#isOver) return;
    this.loading = true;
    try {
      const page = await this.#read(PAGE, cursor);
      if (this.#isOver || this.next !== cursor) return;
      const behind = page.items.filter(({ id }) => !this.#known.has(id));
      behind.forEach(({ id }, at) => this.#known.set(id, this.items.length + at));
      this.items = [...this.items, ...behind];
      this.next = page.next;
      this.lookedTo = page.looked_to;
      this.#empty = page.items.length ? 0 : this.#empty + 1;
      this.isTired = this.#empty >= EMPTY_PAGES;
      this.problem = undefined;
    } catch (error) {
      this.problem = asProblem(error);
    } finally {
      this.loading = false;
    }
  }

  /** Puts what came in front, now. */
  async refresh(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    await this.#newest();
  }

  /** How things went is known before the engine tells it: shown at once. */
  isChanged(id: string, change: Partial<ListedRun>): void {
    const at = this.#known.get(id);
    if (at === undefined) return;
    const items = [...this.items];
    items[at] = { ...items[at]!, ...change };
    this.items = items;
  }

  #read(limit: number, cursor?: string): Promise<Page> {
    return ask(api.GET('/api/v1/runs', { params: { query: { ...queryOf(this.filter), limit, cursor } } }));
  }

  async #newest(): Promise<void> {
    try {
      const page = await this.#read(FIRST_PAGE);
      if (this.#isOver) return;
      this.#fresh.clear();
      this.freshCount = 0;
      this.problem = undefined;
      this.matched = page.matched;
      this.#merge(page);
    } catch (error) {
      this.problem = asProblem(error);
    }
  }

  /** Where the newest page reaches what is there, the two become one; else it takes its place, for what lies between is unknown. */
  #merge(page: Page): void {
    const reaches = page.items.some(({ id }) => this.#known.has(id));
    if (this.items.length === 0 || (!reaches && page.items.length > 0)) {
      this.#take(page.items);
      this.next = page.next;
      this.lookedTo = page.looked_to;
      return;
    }
    const fresh = new Map(page.items.map((run) => [run.id, run]));
    const before = page.items.filter(({ id }) => !this.#known.has(id)).length;
    const kept = this.items.map((run) => fresh.get(run.id) ?? run);
    const all = [...page.items.filter(({ id }) => !this.#known.has(id)), ...kept];
    this.#take(before ? all.sort((a, b) => (a.id < b.id ? 1 : -1)) : kept);
    if (before) this.#added(before);
  }

  #take(items: ListedRun[]): void {
    this.#known = new Map(items.map(({ id }, at) => [id, at]));
    this.items = items;
  }

  #watch(): void {
    const wanted = new URLSearchParams({ type: TYPES.join(',') });
    if (this.filter.workflow) wanted.set('workflow', this.filter.workflow);
    this.live = new Live(`/api/v1/stream?${wanted}`, {
      // What happened between the first page and now.
      onOpen: () => void this.#newest(),
      onEvents: (events) => this.#happened(events),
      onReset: () => void this.#newest(),
      onPoll: () => void (this.atTop && this.#newest())
    });
  }

  #happened(events: LiveEvent[]): void {
    let items: ListedRun[] | undefined;
    for (const event of events) {
      const at = this.#known.get(event.run_id);
      if (at === undefined) {
        if (!mayPass(this.filter, event)) this.#fresh.delete(event.run_id);
        else if (this.#belongsHere(event)) this.#fresh.add(event.run_id);
      } else {
        items ??= [...this.items];
        items[at] = after(items[at]!, event);
      }
    }
    if (items) this.items = items;
    this.freshCount = this.filter.q || this.filter.endpoint ? 0 : this.#fresh.size;
    if (this.#fresh.size && this.atTop)
      this.#timer ??= setTimeout(
        () => void (this.atTop ? this.refresh() : (this.#timer = undefined)),
        this.#patience()
      );
  }

  /** A new run, or one that came into a state that is wanted; not one that lies further down than was read. */
  #belongsHere(event: LiveEvent): boolean {
    if (this.filter.range === 'custom' && this.filter.until) return false;
    if (event.type === 'run.accepted') return true;
    return this.filter.statuses.length > 0 && (this.next === null || event.run_id > (this.items.at(-1)?.id ?? ''));
  }

  /** The first of many at once; a stream of them a page a second. */
  #patience(): number {
    return this.#fresh.size < 5 && !this.filter.q ? 50 : REFRESH_MS;
  }
}

/** A run after one of its events. */
function after(run: ListedRun, event: LiveEvent): ListedRun {
  if (ENDED.has(run.status)) return run;
  const status = event.run_status as RunStatus;
  if (!ENDED.has(status)) return run.status === status ? run : { ...run, status };
  if (event.type !== `run.${status}`) return run; // the last event of this commit tells the rest
  const error = event.error as ListedRun['failure'] | undefined;
  return {
    ...run,
    status,
    finished_at: event.at,
    duration_s: (Date.parse(event.at) - Date.parse(run.accepted_at)) / 1000,
    failure: error ? { type: error.type, node: error.node ?? null, reason: error.reason } : run.failure
  };
}
