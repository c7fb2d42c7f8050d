import { describe, expect, it } from 'vitest';
import { nodeAt } from '$lib/flow/address';
import type { Definition, NodeDoc } from '$lib/flow/definition';
import { drawingOf, lineId, type Drawing } from '$lib/flow/drawing';
import { clipText, readClip } from './clipboard';
import * as commands from './commands';
import { EditorDocument } from './document.svelte';
import { refusalOf } from './rules';

const step = (id: string, config: NodeDoc['config'] = { expression: 'input' }): NodeDoc => ({
  id,
  type: 'transform',
  config
});
const base: Definition = {
  nodes: [
    {
      id: 'size',
      type: 'branch',
      config: { conditions: [{ port: 'big', when: 'input.total > `9`' }], default: 'small' }
    },
    step('gift'),
    step('plain', { template: { was: '{{ steps.size.total }} and {{ steps.gift }}' } }),
    {
      id: 'each',
      type: 'loop',
      config: {
        items: 'steps.gift.lines',
        body: {
          nodes: [step('charge', { expression: 'steps.gift' }), step('log')],
          edges: [
            { from: 'trigger', to: 'charge' },
            { from: 'charge', to: 'log' }
          ]
        }
      }
    },
    { id: 'both', type: 'join' },
    step('end', { expression: 'input.gift' })
  ],
  edges: [
    { from: 'trigger', to: 'size' },
    { from: 'size', port: 'big', to: 'gift' },
    { from: 'size', port: 'small', to: 'plain' },
    { from: 'gift', to: 'each' },
    { from: 'each', to: 'both' },
    { from: 'gift', to: 'both' },
    { from: 'plain', to: 'both' },
    { from: 'both', to: 'end' }
  ]
};
const frozen = <T>(value: T): T => {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    Object.values(value).forEach(frozen);
  }
  return value;
};
frozen(base);
const edges = (definition: Definition): string[] =>
  definition.edges.map((edge) => `${edge.from}.${edge.port ?? 'out'}→${edge.to}`);
const config = (definition: Definition, address: string) => nodeAt(definition, address)?.config;

function seen(drawing: Drawing): Map<string, string> {
  const at = new Map<string, { x: number; y: number }>();
  for (const box of drawing.boxes) {
    const parent = box.parent === undefined ? { x: 0, y: 0 } : at.get(box.parent)!;
    at.set(box.id, { x: parent.x + box.at.x, y: parent.y + box.at.y });
  }
  return new Map([...at].map(([id, { x, y }]) => [id, `${x} ${y}`]));
}

describe('adding', () => {
  it('behind a node connects by the port that is free, and stands on nothing', () => {
    const one = commands.add(base, 'http_call', { behind: 'end' });
    expect(one.address).toBe('call');
    expect(edges(one.definition)).toContain('end.out→call');
    const open = commands.remove(base, new Set(['plain']));
    const two = commands.add(open, 'delay', { behind: 'size' });
    expect(edges(two.definition)).toContain('size.small→delay');
  });

  it('to nothing connects with the start; behind what ends the run it connects with nothing', () => {
    const { definition } = commands.add({ nodes: [], edges: [] }, 'terminate');
    expect(edges(definition)).toEqual(['trigger.out→terminate']);
    expect(edges(commands.add(definition, 'join', { behind: 'terminate' }).definition)).toEqual([
      'trigger.out→terminate'
    ]);
  });

  it('in a loop and behind a node of a loop', () => {
    expect(commands.add(base, 'delay', { scope: 'each' }).address).toBe('each/delay');
    const { definition, address } = commands.add(base, 'delay', { behind: 'each/log' });
    expect(address).toBe('each/delay');
    expect((config(definition, 'each')!.body as Definition).edges).toContainEqual({ from: 'log', to: 'delay' });
  });

  it('gives ids nobody has, within the length that is allowed', () => {
    const graph = { nodes: [step('call'), step('call_2'), step('x'.repeat(64))], edges: [] };
    expect(commands.freshId(graph, 'call')).toBe('call_3');
    expect(commands.freshId(graph, 'call_2')).toBe('call_3');
    expect(commands.freshId(graph, 'x'.repeat(64))).toMatch(/^x{62}_2$/);
    expect(commands.freshId(graph, 'trigger')).toBe('node');
  });

  it('nothing that is there moves', () => {
    const placed = commands.move(base, {});
    const before = seen(drawingOf(placed));
    const after = seen(
      drawingOf(commands.add(placed, 'delay', { scope: 'each', at: { x: -500, y: -300 } }).definition)
    );
    for (const id of ['size', 'gift', 'each/charge', 'each/log']) expect(after.get(id), id).toBe(before.get(id));
  });
});

describe('removing', () => {
  it('takes edges of nodes with it, and single lines', () => {
    const without = commands.remove(base, new Set(['gift', lineId('', 'both', 'out', 'end')]));
    expect(without.nodes.map(({ id }) => id)).not.toContain('gift');
    expect(edges(without)).toEqual(['trigger.out→size', 'size.small→plain', 'each.out→both', 'plain.out→both']);
  });
  it('reaches into loops', () => {
    const body = config(
      commands.remove(base, new Set(['each/log', lineId('each', 'trigger', 'out', 'charge')])),
      'each'
    )!.body;
    expect(body).toEqual({ nodes: [step('charge', { expression: 'steps.gift' })], edges: [] });
  });
  it('of nothing is no change', () => expect(commands.remove(base, new Set(['no', 'trigger']))).toBe(base));
});

describe('a connection', () => {
  it.each([
    ['size', 'big', 'both', undefined],
    ['gift', 'out', 'trigger', /Nothing can lead to the start/],
    ['gift', 'out', 'gift', /cannot lead to itself/],
    ['size', 'no', 'both', /has no port “no”; it has “big”, “small”/],
    ['size', 'big', 'gift', /already/],
    ['both', 'out', 'size', /wait for each other/],
    ['gift', 'out', 'each/log', /cross the border of the loop “each”/],
    ['each/log', 'out', 'both', /cross the border of the loop “each”/],
    ['each/trigger', 'out', 'each/log', undefined],
    ['trigger', 'out', 'nowhere', /no node “nowhere”/]
  ])('%s.%s → %s', (source, port, target, reason) => {
    const refusal = refusalOf(base, { source, port, target });
    if (reason) expect(refusal).toMatch(reason);
    else expect(refusal).toBeUndefined();
  });
  it('cannot leave what ends the run', () => {
    const ended = commands.add(base, 'terminate').definition;
    expect(refusalOf(ended, { source: 'terminate', port: 'out', target: 'end' })).toMatch(/ends the run/);
  });
});

describe('renaming', () => {
  const renamed = commands.rename(base, 'gift', 'present').definition;
  it('is followed by edges', () =>
    expect(edges(renamed)).toEqual(edges(base).map((edge) => edge.replaceAll('gift', 'present'))));
  it('is followed by expressions and templates, in loops as well', () => {
    expect(config(renamed, 'plain')).toEqual({ template: { was: '{{ steps.size.total }} and {{ steps.present }}' } });
    expect(config(renamed, 'each')!.items).toBe('steps.present.lines');
    expect(config(renamed, 'each/charge')).toEqual({ expression: 'steps.present' });
  });
  it('is followed behind a join of all, where the outputs come by name', () =>
    expect(config(renamed, 'end')).toEqual({ expression: 'input.present' }));
  it('leaves alone what it does not concern', () => expect(nodeAt(renamed, 'size')).toBe(nodeAt(base, 'size')));
  it('does not reach into a loop that has a node of that name itself', () => {
    const hiding = commands.rename(base, 'each/log', 'gift').definition;
    expect(config(commands.rename(hiding, 'gift', 'present').definition, 'each/charge')).toEqual({
      expression: 'steps.gift'
    });
  });
  it.each([
    ['trigger', /start of every path/],
    ['1st', /letters, digits and _/],
    ['', /letters, digits and _/],
    ['both', /already/]
  ])('to “%s” is refused', (id, reason) => expect(commands.renameRefusal(base, 'gift', id)).toMatch(reason));
});

describe('the ports of a branch', () => {
  const set = (conditions: unknown) =>
    commands.setConfig(base, 'size', { conditions, default: 'small' } as NodeDoc['config']);
  it('renamed, keep their edges', () =>
    expect(edges(set([{ port: 'large', when: '1' }]))).toContain('size.large→gift'));
  it('taken away, take them with them', () =>
    expect(edges(set([])).some((edge) => edge.startsWith('size.big'))).toBe(false));
  it('added, change none', () =>
    expect(
      edges(
        set([
          { port: 'big', when: '1' },
          { port: 'mid', when: '1' }
        ])
      )
    ).toEqual(edges(base)));
});

describe('copies', () => {
  it('hold the nodes, what is between them, and what stands in loops', () => {
    const clip = commands.copy(base, ['gift', 'each', 'each/log', 'both', 'trigger'])!;
    expect(clip.nodes.map(({ id }) => id)).toEqual(['gift', 'each', 'both']);
    expect(clip.edges).toEqual([
      { from: 'gift', to: 'each' },
      { from: 'each', to: 'both' },
      { from: 'gift', to: 'both' }
    ]);
  });
  it('get ids that are free, followed by their expressions, and stand aside', () => {
    const clip = commands.copy(base, ['gift', 'each'])!;
    const { definition, addresses } = commands.paste(base, clip, '');
    expect(addresses).toEqual(['gift_2', 'each_2']);
    expect(config(definition, 'each_2')!.items).toBe('steps.gift_2.lines');
    expect(config(definition, 'each_2/charge')).toEqual({ expression: 'steps.gift_2' });
    const places = definition.nodes.map(({ position }) => `${position!.x} ${position!.y}`);
    expect(new Set(places).size).toBe(places.length);
  });
  it('whose ids change places with others keep them apart', () => {
    const graph: Definition = { nodes: [step('a')], edges: [] };
    const clip = {
      meshhook: 'nodes',
      nodes: [step('a', { expression: 'steps.a_2' }), step('a_2')],
      edges: [{ from: 'a', to: 'a_2' }]
    } as const;
    const { definition } = commands.paste(graph, clip, '');
    expect(definition.nodes.map(({ id }) => id)).toEqual(['a', 'a_3', 'a_2']);
    expect(definition.edges).toEqual([{ from: 'a_3', to: 'a_2' }]);
    expect(config(definition, 'a_3')).toEqual({ expression: 'steps.a_2' });
  });
  it('go over the clipboard into a loop of another tab', () => {
    const text = clipText(commands.copy(base, ['gift'])!);
    const { definition, addresses } = commands.paste(base, readClip(text)!, 'each', { x: 7, y: 9 });
    expect(addresses).toEqual(['each/gift']);
    expect(nodeAt(definition, 'each/gift')?.position).toEqual({ x: 7, y: 9 });
  });
  it.each(['', 'hello', '3', '{"nodes": []}', '{"nodes": [{"id": "a b", "type": "join"}]}'])(
    'of “%s” are none',
    (text) => expect(readClip(text)).toBeUndefined()
  );
  it('of a whole definition are its nodes', () => expect(readClip(JSON.stringify(base))!.nodes).toHaveLength(6));
});

describe('moving', () => {
  it('in a loop leaves the others where they are seen, though the loop grows', () => {
    const placed = commands.move(base, {});
    const before = seen(drawingOf(placed));
    const after = seen(drawingOf(commands.move(placed, { 'each/log': { x: -400, y: 700 } })));
    expect(after.get('each/charge')).toBe(before.get('each/charge'));
    expect(after.get('gift')).toBe(before.get('gift'));
    expect(after.get('each/log')).not.toBe(before.get('each/log'));
  });
});

describe('a document', () => {
  const every: [string, (document: EditorDocument) => unknown][] = [
    ['add', (document) => document.add('delay', { behind: 'end' })],
    ['remove', (document) => document.remove(new Set(['gift']))],
    ['connect', (document) => document.connect({ source: 'size', port: 'big', target: 'both' })],
    ['rename', (document) => document.rename('gift', 'present')],
    ['move', (document) => document.move({ gift: { x: 5, y: 6 } })],
    ['arrange', (document) => document.arrange({ gift: { x: 5, y: 6 } })],
    ['setConfig', (document) => document.setConfig('gift', { expression: 'x' })],
    ['setNode', (document) => document.setNode('gift', { name: 'A gift', on_error: 'port' })],
    ['setMembers', (document) => document.setMembers({ description: 'x' })],
    ['paste', (document) => document.paste(commands.copy(base, ['gift'])!, 'each')],
    ['duplicate', (document) => (document.select(['gift', 'both']), document.duplicate())],
    ['replace', (document) => document.replace({ nodes: [], edges: [] }, 'Import')]
  ];
  it.each(every)('undoes and does again: %s', (_, act) => {
    const document = new EditorDocument(base);
    act(document);
    const after = document.definition;
    expect(after).not.toEqual(base);
    document.undo();
    expect(document.definition).toBe(base);
    expect(document.undoes).toBeUndefined();
    document.redo();
    expect(document.definition).toBe(after);
    expect(document.redoes).toBeUndefined();
  });

  it('goes back over all of them and forth again', () => {
    const document = new EditorDocument(base);
    const versions = [base];
    for (const [, act] of every) {
      act(document);
      if (document.definition !== versions.at(-1)) versions.push(document.definition);
    }
    expect(versions.length).toBeGreaterThan(8);
    for (const version of versions.slice(0, -1).toReversed()) {
      document.undo();
      expect(document.definition).toBe(version);
    }
    for (const version of versions.slice(1)) {
      document.redo();
      expect(document.definition).toBe(version);
    }
  });

  it('what is typed into one field is one step, until there is a pause', () => {
    let now = 0;
    const document = new EditorDocument(base, () => now);
    for (const expression of ['i', 'in', 'inp']) document.setConfig('gift', { expression }, 'expression');
    now += 10_000;
    document.setConfig('gift', { expression: 'input.x' }, 'expression');
    document.undo();
    expect(config(document.definition, 'gift')).toEqual({ expression: 'inp' });
    document.undo();
    expect(document.definition).toBe(base);
  });

  it('a change after undo takes the way forth', () => {
    const document = new EditorDocument(base);
    document.add('delay');
    document.undo();
    document.add('join');
    expect(document.redoes).toBeUndefined();
    expect(document.undoes).toBe('Add Join');
  });

  it('a refused connection changes nothing and says why', () => {
    const document = new EditorDocument(base);
    expect(document.connect({ source: 'both', port: 'out', target: 'size' })).toMatch(/wait for each other/);
    expect(document.definition).toBe(base);
    expect(document.undoes).toBeUndefined();
  });

  it('knows the one chosen node; lines and starts are none', () => {
    const document = new EditorDocument(base);
    document.select(['each/log', lineId('', 'both', 'out', 'end'), 'trigger']);
    expect(document.address).toBe('each/log');
    expect(document.node?.id).toBe('log');
    document.selectAll();
    expect(document.chosenNodes).toEqual(['each/charge', 'each/log']);
    expect(document.address).toBeUndefined();
  });
});
