import { expect, it } from 'vitest';
import { compare } from './compare';
import { stepOf } from './stepsample';

const payload = (value: unknown) => ({ bytes: 1, truncated: false, value, beginning: null });
const at = (second: number): string => new Date(second * 1000).toISOString();

it('finds what differed first, not what follows from it', () => {
  const left = [
    stepOf({ path: 'b', status: 'completed', started_at: at(2), output: payload({ x: 1 }) }),
    stepOf({ path: 'a', status: 'completed', started_at: at(1), port: 'big' })
  ];
  const right = [
    stepOf({ path: 'a', status: 'completed', started_at: at(11), port: 'small' }),
    stepOf({ path: 'b', status: 'skipped' })
  ];
  const { pairs, first } = compare(left, right);
  expect(pairs.map(({ path, differs }) => [path, differs])).toEqual([
    ['a', 'port'],
    ['b', 'status']
  ]);
  expect(first?.path).toBe('a');
});

it('takes no offence at times, nor at the order of members', () => {
  const left = stepOf({ status: 'completed', started_at: at(1), output: payload({ a: 1, b: [1, { c: 2, d: 3 }] }) });
  const right = stepOf({ status: 'completed', started_at: at(9), output: payload({ b: [1, { d: 3, c: 2 }], a: 1 }) });
  expect(compare([left], [right]).first).toBeUndefined();
  expect(compare([left], [{ ...right, output: payload({ b: [1], a: 1 }) }]).first?.differs).toBe('output');
});

it('tells what only one of them has', () => {
  expect(compare([], [stepOf({ path: 'new' })]).pairs).toMatchObject([{ path: 'new', differs: 'missing' }]);
});
