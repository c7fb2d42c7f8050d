/** Two runs side by side, step by step: what differs, and what differed first. Pure. */
import type { Step } from './steps';

export type Difference = 'missing' | 'status' | 'port' | 'error' | 'output' | 'input' | 'attempts';

export interface Pair {
  path: string;
  left: Step | undefined;
  right: Step | undefined;
  differs: Difference | undefined;
}

export interface Comparison {
  pairs: Pair[];
  /** The one that differs and began first; what differs behind it may follow from it. */
  first: Pair | undefined;
}

export function compare(left: readonly Step[], right: readonly Step[]): Comparison {
  const others = new Map(right.map((step) => [step.path, step]));
  const pairs = left.map((step) => pairOf(step, others.get(step.path)));
  const known = new Set(left.map(({ path }) => path));
  pairs.push(...right.filter(({ path }) => !known.has(path)).map((step) => pairOf(undefined, step)));
  pairs.sort((a, b) => begun(a) - begun(b)); // stable: what began at the same time stays in the order of the definition
  return { pairs, first: pairs.find(({ differs }) => differs !== undefined) };
}

function pairOf(left: Step | undefined, right: Step | undefined): Pair {
  return { path: (left ?? right)!.path, left, right, differs: difference(left, right) };
}

function difference(left: Step | undefined, right: Step | undefined): Difference | undefined {
  if (!left || !right) return 'missing';
  if (!isSame(left.input, right.input)) return 'input';
  if (left.status !== right.status) return 'status';
  if (left.port !== right.port) return 'port';
  if (!isSame(left.error, right.error)) return 'error';
  if (!isSame(left.output, right.output)) return 'output';
  if (left.attempts.length !== right.attempts.length) return 'attempts';
  return undefined;
}

const isSame = (left: unknown, right: unknown): boolean => ordered(left) === ordered(right);

/** As text in which the order of members does not matter. */
function ordered(value: unknown): string {
  return JSON.stringify(value ?? null, (_, one: unknown) =>
    one && typeof one === 'object' && !Array.isArray(one)
      ? Object.fromEntries(Object.entries(one).sort(([a], [b]) => (a < b ? -1 : 1)))
      : one
  );
}

const begun = ({ left, right }: Pair): number => {
  const at = left?.started_at ?? right?.started_at;
  return at ? Date.parse(at) : Infinity;
};
