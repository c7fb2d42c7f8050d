import { asProblem, Problem } from '$lib/api/problem';
import { readDefinition, type Definition } from '$lib/flow/definition';
import type { Marks } from '$lib/flow/items';
import type { NodeStates } from '$lib/flow/state';
import { EditorDocument } from './document.svelte';
import { faultsOf, marksOf, type Fault, type Told } from './problems';

export interface Loaded {
  draft: unknown;
  etag: string;
  published: number | null;
  changed: boolean;
  saved_by: string | null;
  updated_at: string;
}

export interface Saved {
  etag: string;
  errors: readonly Told[];
  warnings: readonly Told[];
}

/** Where drafts are kept: the API, and in tests something smaller. Both throw a `Problem`. */
export interface Store {
  load(): Promise<Loaded>;
  /** Only in place of the draft with this tag. Without one: whatever is there. */
  save(definition: Definition, etag: string | undefined): Promise<Saved>;
  /** What the validator says, without saving. */
  judge(definition: Definition): Promise<Omit<Saved, 'etag'>>;
}

/** Somebody else, or another tab, saved the draft after it was read here. */
export interface Conflict {
  etag: string | undefined;
  savedBy: string | null;
  savedAt: string | undefined;
  theirs: unknown;
}

export type SavingState = 'saved' | 'changed' | 'saving' | 'failed' | 'refused' | 'conflict';

const WAIT_MS = 800;
const RETRY_MS = [2_000, 5_000, 10_000, 30_000] as const;

/**
 * The draft of a workflow in the editor: its document, saved by itself a moment after a change, and what the validator says about it.
 *
 * Two tabs don't overwrite each other: each save says which draft it is made from. When that is not there any more, nothing is saved
 * until the person has chosen (`keepMine`, `takeTheirs`).
 */
export class Draft {
  readonly document = new EditorDocument();
  saving = $state<SavingState>('saved');
  /** Why it is not saved. */
  problem = $state.raw<Problem | undefined>();
  conflict = $state.raw<Conflict | undefined>();
  /** What was read at first, and is told of the workflow besides its draft. */
  loaded = $state.raw<Loaded | undefined>();
  /** Why a draft can't be drawn. */
  undrawn = $state<string | undefined>();
  faults = $state.raw<readonly Fault[]>([]);
  /** Whether the faults are those of what is shown. */
  judged = $state.raw<Definition | undefined>();
  readonly marks: Marks = $derived(marksOf(this.faults));
  /** Nodes as they stand in a run that is shown, and those whose output is pinned in test runs. */
  states = $state.raw<NodeStates>({});
  pinned = $state.raw<ReadonlySet<string>>(new Set());

  #etag: string | undefined;
  #kept: Definition | undefined; // what is saved, as the object it was here
  #timer: unknown;
  #running: Promise<void> | undefined;
  #attempts = 0;
  #closed = false;
  readonly #store: Store;
  readonly #after: (ms: number, act: () => void) => unknown;

  constructor(store: Store, after: (ms: number, act: () => void) => unknown = (ms, act) => setTimeout(act, ms)) {
    this.#store = store;
    this.#after = after;
  }

  /**
   * Reads the draft. `place` gives nodes without one their places: they are shown, and saved with the first change.
   * @throws Problem when it can't be read
   */
  async open(place: (definition: Definition) => Promise<Definition> = (it) => Promise.resolve(it)): Promise<void> {
    const loaded = await this.#store.load();
    this.#etag = loaded.etag;
    this.loaded = loaded;
    const { definition, reason } = readDefinition(loaded.draft);
    this.undrawn = reason;
    if (!definition) return;
    this.#begin(await place(definition));
    if (definition.nodes.length) void this.judge();
  }

  #begin(definition: Definition): void {
    this.document.open(definition);
    this.#kept = this.document.definition;
    this.saving = 'saved';
  }

  /** Whether all work is saved. */
  get isSaved(): boolean {
    return this.#kept === this.document.definition || this.#kept === undefined;
  }

  /** To be called after every change: saves a moment later. */
  changed(): void {
    if (this.saving === 'conflict') return;
    if (this.isSaved) {
      // Undone to what is saved: nothing is left to do, unless a save of something else is under way.
      if (this.saving !== 'saving') [this.saving, this.problem, this.#timer] = ['saved', undefined, undefined];
      return;
    }
    if (this.saving !== 'saving') this.saving = 'changed';
    this.#attempts = 0;
    this.#schedule(WAIT_MS);
  }

  #schedule(ms: number): void {
    const turn = {};
    this.#timer = turn;
    this.#after(ms, () => {
      if (this.#timer === turn && !this.#closed) void this.flush();
    });
  }

  /** Saves now what is not saved yet; whether everything is saved then. */
  async flush(): Promise<boolean> {
    this.#timer = undefined;
    while (this.#running) await this.#running;
    if (this.saving === 'conflict') return false;
    if (!this.isSaved) await (this.#running = this.#save().finally(() => (this.#running = undefined)));
    return this.isSaved;
  }

  async #save(): Promise<void> {
    const definition = this.document.definition;
    this.saving = 'saving';
    try {
      const saved = await this.#store.save(definition, this.#etag);
      this.#etag = saved.etag;
      this.#kept = definition;
      this.#attempts = 0;
      this.problem = undefined;
      this.#told(definition, saved);
      if (this.isSaved) this.saving = 'saved';
      else {
        this.saving = 'changed';
        this.#schedule(WAIT_MS);
      }
    } catch (error) {
      await this.#notSaved(asProblem(error));
    }
  }

  async #notSaved(problem: Problem): Promise<void> {
    this.problem = problem;
    if (problem.kind === 'draft-changed') {
      await this.#disagree();
    } else if (problem.status === 0 || problem.status >= 500 || problem.status === 429) {
      this.saving = 'failed';
      this.#schedule(RETRY_MS[Math.min(this.#attempts++, RETRY_MS.length - 1)]!);
    } else {
      this.saving = 'refused';
    }
  }

  async #disagree(): Promise<void> {
    try {
      const now = await this.#store.load();
      this.conflict = { etag: now.etag, savedBy: now.saved_by, savedAt: now.updated_at, theirs: now.draft };
    } catch (error) {
      const problem = asProblem(error);
      if (problem.status !== 404) return this.#notSaved(problem);
      this.conflict = { etag: undefined, savedBy: null, savedAt: undefined, theirs: undefined };
    }
    this.saving = 'conflict';
  }

  /** Puts this draft in place of the other. */
  async keepMine(): Promise<void> {
    if (!this.conflict) return;
    this.#etag = this.conflict.etag;
    this.conflict = undefined;
    this.saving = 'changed';
    await this.flush();
  }

  /** Goes on with the other draft; undo brings this one back. A reason when the other can't be drawn. */
  takeTheirs(): string | undefined {
    if (!this.conflict) return undefined;
    const { definition, reason } = readDefinition(this.conflict.theirs);
    if (!definition) return reason;
    this.#etag = this.conflict.etag;
    this.conflict = undefined;
    this.problem = undefined;
    this.document.replace(definition, 'Take the other draft');
    this.#kept = this.document.definition;
    this.saving = 'saved';
    void this.judge();
    return undefined;
  }

  /** Asks the validator about what is shown. It is asked anyway with every save. */
  async judge(): Promise<void> {
    const definition = this.document.definition;
    try {
      const told = await this.#store.judge(definition);
      if (definition === this.document.definition) this.#told(definition, told);
    } catch {
      // What is told is told with the next save; that nobody answers is shown at the top of the page.
    }
  }

  #told(definition: Definition, told: Omit<Saved, 'etag'>): void {
    this.judged = definition;
    this.faults = faultsOf(definition, told.errors, told.warnings);
  }

  /** Nothing is saved by itself any more. */
  close(): void {
    this.#closed = true;
  }
}
