import { describe, expect, it } from 'vitest';
import type { Definition } from '$lib/flow/definition';
import { addressOfPin, loopPath, pinName, stepPath } from './path';
import { canPin, kept, pinOf, told, usable, type Step } from './pins';
import { errorText } from '$lib/runs/error';
import { statesOf } from './states';

const definition: Definition = {
  nodes: [
    { id: 'get', type: 'http_call' },
    { id: 'way', type: 'branch', config: { conditions: [{ port: 'yes', when: 'input' }], default: 'no' } },
    {
      id: 'each',
      type: 'loop',
      config: { items: 'input', body: { nodes: [{ id: 'pay', type: 'http_call' }], edges: [] } }
    },
    { id: 'other', type: 'transform' },
    { id: 'end', type: 'terminate' }
  ],
  edges: [
    { from: 'trigger', to: 'get' },
    { from: 'get', to: 'way' },
    { from: 'way', port: 'yes', to: 'each' },
    { from: 'way', port: 'no', to: 'other' },
    { from: 'each', to: 'end' }
  ]
};

const step = (path: string, members: Partial<Step> = {}): Step => ({
  ...{ path, node: path, type: 'transform', status: 'completed', started_at: null, ended_at: null, port: 'out' },
  ...{ taken_over: false, deadline_at: null, input_from: [], attempts: [], waits: [], loop: null, input: null },
  ...{ output: { bytes: 1, truncated: false, value: 1, beginning: null }, error: null },
  ...members
});

describe('paths', () => {
  it('lead from a node to its step of an item, and to its pin and back', () => {
    expect(stepPath('get', [])).toBe('get');
    expect(stepPath('a/b/c', [3])).toBe('a[3].b[0].c');
    expect(loopPath('a/b/c', [3, 1])).toBe('a[3].b');
    expect(loopPath('get', [])).toBeUndefined();
    expect(addressOfPin(pinName('a/b/c'))).toBe('a/b/c');
  });
});

describe('pins', () => {
  const pin = { output: 1, port: 'out' };

  it('of nodes that are gone, or stand in a loop that is pinned, are left out', () => {
    expect(Object.keys(usable(definition, { get: pin, gone: pin, 'each/pay': pin }))).toEqual(['get', 'each/pay']);
    expect(Object.keys(usable(definition, { each: pin, 'each/pay': pin }))).toEqual(['each']);
    expect(told({ 'each/pay': pin })).toEqual({ 'each.pay': pin });
  });

  it('are for nodes that something leaves', () => {
    expect([canPin(definition, 'each/pay'), canPin(definition, 'end'), canPin(definition, 'gone')]).toEqual([
      true,
      false,
      false
    ]);
  });

  it('keep what does not follow from the step that is done again', () => {
    const steps = ['get', 'way', 'each', 'end'].map((path) => step(path));
    steps.push(step('other', { status: 'skipped', output: null }));
    const paths = (from: string): string[] => kept(definition, from, steps).map(({ path }) => path);
    expect(paths('get')).toEqual([]);
    expect(paths('each')).toEqual(['get', 'way']);
    expect(paths('each/pay')).toEqual(['get', 'way']);
    expect(paths('other')).toEqual(['get', 'way', 'each']);
  });

  it('keep the port: the one a step was left by, or what it was pinned to before', () => {
    expect(pinOf(step('way', { port: 'yes' }), 5, {})).toEqual({ output: 5, port: 'yes' });
    expect(pinOf(step('way'), 5, { way: { output: 6, port: 'no' } })).toEqual({ output: 6, port: 'no' });
  });
});

describe('states', () => {
  it('tell the way a pinned node was left, and nothing of what was not reached', () => {
    const states = statesOf([step('way'), step('other', { status: 'pending' })], { way: { output: 1, port: 'no' } });
    expect(states).toEqual({ way: { standing: 'completed', port: 'no' } });
  });

  it('of items of a loop show the one that failed, and how many are done', () => {
    const error = { type: 'call', reason: 'refused' };
    const items = [step('each[0].pay'), step('each[1].pay', { status: 'failed', error }), step('each[2].pay')];
    expect(statesOf(items, {})).toEqual({
      'each/pay': { standing: 'failed', note: '2/3, 1 failed', title: 'refused' }
    });
  });

  it('of a loop that went on although items failed warn, also where it stands in another loop', () => {
    const loop = { count: 20, begun: 20, done: 20, failed: 2 };
    const states = statesOf([step('each', { loop }), step('each[0].in', { loop }), step('each[1].in', { loop })], {});
    expect(states.each).toMatchObject({ standing: 'completed', note: '18/20, 2 failed', warns: true });
    expect(states['each/in']).toMatchObject({ standing: 'completed', note: '36/40, 4 failed', warns: true });
    expect(statesOf([step('each', { loop: { ...loop, failed: 0 } })], {}).each).toMatchObject({ note: '20/20' });
  });

  it('that did not change stay the same objects', () => {
    const before = statesOf([step('get'), step('way', { status: 'running' })], {});
    const after = statesOf([step('get'), step('way')], {}, before);
    expect(after.get).toBe(before.get);
    expect(after.way).not.toBe(before.way);
  });

  it('say an error in words, however it is told', () => {
    expect(errorText({ type: 'call', reason: 'refused' })).toBe('refused');
    expect(errorText({ odd: 1 })).toBe('{"odd":1}');
    expect(errorText(null)).toBeUndefined();
  });
});
