/**
 * What a test tells (docs/concurrency/events.md), as the page keeps it. Pure: events go in, in order, and what is drawn comes out.
 */
import type { Schemas } from '$lib/api/client';

export type Test = Schemas['Test'];
export type TestBrief = Schemas['TestBrief'];
export type Verdict = 'pass' | 'fail' | 'invalid' | 'unknown';
export type Counterexample = Schemas['Counterexample'];

export type Told = { n: number; at_us: number; event: string; [member: string]: unknown };
export type Figures = Told & Schemas['LiveFigures'];
export type Judged = {
  name: string;
  family: string;
  says: string;
  verdict: Verdict;
  checked: number;
  of_what: string;
  sentence: string;
};

/** Something that happened at a time, or from then until it was healed. Seconds since the load began. */
export interface Mark {
  label: string;
  from: number;
  to: number | null;
}

export const PARTS = ['planning', 'starting', 'load', 'drain', 'saving', 'judging'] as const;
export const PART_NAMES: Record<string, string> = {
  planning: 'Plan',
  starting: 'Start',
  load: 'Load',
  drain: 'Drain',
  saving: 'Save',
  judging: 'Judge'
};

export class Story {
  part: string | undefined;
  doing: string | undefined;
  warmupS = 0;
  lastS = 0;
  adapted: string[] = [];
  looks: Figures[] = [];
  judged: Judged[] = [];
  incidents: { at: number; what: string }[] = [];
  isOver = false;
  #faults: { kind: string; target: string; from_us: number; to_us: number | null }[] = [];

  take(told: Told): void {
    switch (told.event) {
      case 'step':
        this.part = told.part as string;
        this.doing = told.what as string;
        break;
      case 'started':
        this.warmupS = (told.warmup_s as number | undefined) ?? 0;
        this.lastS = this.warmupS + ((told.duration_s as number | undefined) ?? 0);
        this.adapted = (told.adapted as string[] | undefined) ?? [];
        break;
      case 'figures':
        this.looks.push(told as Figures);
        break;
      case 'fault':
        this.#fault(told);
        break;
      case 'incident':
        // Faults come as such, with their end; what they do to processes is told by these.
        if (told.role !== 'fault') this.incidents.push({ at: told.at_us, what: `${told.role} ${told.what}` });
        break;
      case 'judged':
        this.judged.push(told as unknown as Judged);
        break;
      case 'ended':
        this.isOver = true;
        break;
    }
  }

  #fault(told: Told): void {
    if (told.state === 'begun') {
      this.#faults.push({
        kind: told.kind as string,
        target: (told.target as string | null) ?? '',
        from_us: told.at_us,
        to_us: null
      });
    } else {
      const open = this.#faults.find((fault) => fault.kind === told.kind && fault.to_us === null);
      if (open) open.to_us = told.at_us;
    }
  }

  /** When the load began, in microseconds of Unix time; undefined before it did. */
  get beganUs(): number | undefined {
    const first = this.looks[0];
    return first && first.at_us - first.t_s * 1e6;
  }

  get marks(): Mark[] {
    const began = this.beganUs;
    if (began === undefined) return [];
    const seconds = (us: number): number => (us - began) / 1e6;
    return this.#faults.map(({ kind, from_us, to_us }) => ({
      label: kind,
      from: seconds(from_us),
      to: to_us === null ? null : seconds(to_us)
    }));
  }

  get faults(): { kind: string; target: string; from: number; to: number | null }[] {
    return this.marks.map(({ from, to }, at) => ({
      kind: this.#faults[at]!.kind,
      target: this.#faults[at]!.target,
      from,
      to
    }));
  }

  /** One figure of every look; null where it could not be read. */
  course(pick: (look: Figures) => number | null | undefined): (number | null)[] {
    return this.looks.map((look) => pick(look) ?? null);
  }
}

const ORDER: Verdict[] = ['fail', 'invalid', 'unknown', 'pass'];

/** What is to be said of several invariants together. */
export const worst = (verdicts: Verdict[]): Verdict => ORDER.find((verdict) => verdicts.includes(verdict)) ?? 'unknown';

export const WORDS: Record<Verdict, string> = {
  pass: 'Pass',
  fail: 'Violated',
  invalid: 'Invalid',
  unknown: 'Unknown'
};

/** One line of a counterexample: what a ledger says of a moment. `after` is in milliseconds since the first. */
export interface Moment {
  after: number | null;
  ledger: string;
  what: string;
  detail: string;
}

const LEDGERS: [ledger: keyof Counterexample, name: string, at: string, told: string[]][] = [
  ['sent', 'sender', 'sent_us', ['kind', 'outcome', 'status', 'problem', 'error']],
  ['journal', 'journal', 'at_us', ['seq', 'epoch']],
  ['claims', 'claims', 'claimed_us', ['epoch', 'first_seq', 'last_seq']],
  ['leases', 'leases', 'taken_us', ['epoch', 'owner', 'ended_by']],
  ['effects', 'sink', 'at_us', ['attempt', 'answer', 'path']],
  ['samples', 'samples', 'at_us', ['status', 'epoch', 'seq']]
];
const DETAIL_MAX = 400;

/** All that the ledgers say of one counterexample, on one axis of time. */
export function moments(example: Counterexample): Moment[] {
  const found = LEDGERS.flatMap(([ledger, name, at, members]) =>
    ((example[ledger] as Record<string, unknown>[] | undefined) ?? []).map((line) => ({
      at: typeof line[at] === 'number' ? (line[at] as number) : null,
      ledger: name,
      what: name === 'journal' ? String(line.type ?? '') : '',
      detail: detail(line, members)
    }))
  );
  const times = found.map(({ at }) => at).filter((at) => at !== null);
  const first = Math.min(...times);
  return found
    .sort((one, other) => (one.at ?? Infinity) - (other.at ?? Infinity))
    .map(({ at, ...moment }) => ({ ...moment, after: at === null ? null : (at - first) / 1000 }));
}

function detail(line: Record<string, unknown>, members: string[]): string {
  const told = members.filter((name) => line[name] != null).map((name) => `${name} ${String(line[name])}`);
  if (typeof line.event === 'string') told.push(line.event);
  const text = told.join(' · ');
  return text.length > DETAIL_MAX ? `${text.slice(0, DETAIL_MAX)}…` : text;
}
