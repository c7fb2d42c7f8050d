import { describe, expect, it } from 'vitest';
import { differences, same } from './differences';
import type { Definition, NodeDoc } from '$lib/flow/definition';

const step = (id: string, expression: string, more: Partial<NodeDoc> = {}): NodeDoc => ({
  id,
  type: 'transform',
  config: { expression },
  ...more
});
const flow = (nodes: NodeDoc[], edges: Definition['edges'] = []): Definition => ({ nodes, edges });

describe('what differs between two definitions', () => {
  it('tells each field with its value before and after', () =>
    expect(differences(flow([step('a', 'x')]), flow([step('a', 'y', { timeout_s: 5 })]))).toEqual([
      {
        kind: 'changed',
        address: 'a',
        text: 'a: expression, timeout_s',
        fields: [
          { name: 'expression', before: 'x', after: 'y' },
          { name: 'timeout_s', before: undefined, after: 5 }
        ]
      }
    ]));

  it('tells what came, what went, and another type', () => {
    const before = flow([step('a', 'x'), step('b', 'x')], [{ from: 'a', to: 'b' }]);
    const after = flow([{ id: 'a', type: 'join' }, step('c', 'x')], [{ from: 'a', port: 'big', to: 'c' }]);
    expect(differences(before, after).map(({ kind, text }) => `${kind} ${text}`)).toEqual([
      'changed a: transform became join',
      'removed b (transform)',
      'added c (transform)',
      'removed a → b',
      'added a (big) → c'
    ]);
  });

  it('looks into loops, and not at places', () => {
    const loop = (expression: string, x: number): Definition =>
      flow([
        {
          id: 'each',
          type: 'loop',
          position: { x, y: 0 },
          config: { items: 'a', body: flow([step('in', expression)]) }
        }
      ]);
    expect(differences(loop('x', 1), loop('x', 2))).toEqual([]);
    expect(differences(loop('x', 1), loop('y', 1)).map(({ text }) => text)).toEqual(['each/in: expression']);
  });

  it('tells of settings and the description', () =>
    expect(differences({ ...flow([]), description: 'old' }, { ...flow([]), settings: { timeout_s: 1 } })).toEqual([
      { kind: 'changed', text: 'description', fields: [{ name: 'description', before: 'old', after: undefined }] },
      { kind: 'changed', text: 'settings', fields: [{ name: 'settings', before: undefined, after: { timeout_s: 1 } }] }
    ]));

  it('takes members in any order as the same', () => expect(same({ a: 1, b: [2] }, { b: [2], a: 1 })).toBe(true));
});
