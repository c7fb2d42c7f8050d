import { describe, expect, it } from 'vitest';
import Elk from 'elkjs/lib/elk.bundled.js';
import { addressOfStep, nodeAt, pointed } from './address';
import { readDefinition, type Definition, type NodeDoc } from './definition';
import { beginning, drawingOf, extentOf, portPlaces, type Box, type Drawing } from './drawing';
import { boxNodes } from './items';
import { summaryOf, portsOf } from './kinds';
import { arrange, needsLayout, withoutPlaces } from './layout';

const step = (id: string, more: Partial<NodeDoc> = {}): NodeDoc => ({
  id,
  type: 'transform',
  config: { expression: 'input' },
  ...more
});
const loop = (id: string, nodes: NodeDoc[], edges: Definition['edges']): NodeDoc => ({
  id,
  type: 'loop',
  config: { items: 'input', body: { nodes, edges } }
});
const way: NodeDoc = {
  id: 'size',
  type: 'branch',
  config: { conditions: [{ port: 'big', when: 'x' }], default: 'small' }
};
const example: Definition = {
  nodes: [
    way,
    step('gift'),
    loop(
      'each',
      [step('charge'), loop('deep', [step('log')], [{ from: 'trigger', to: 'log' }])],
      [
        { from: 'trigger', to: 'charge' },
        { from: 'charge', to: 'deep' }
      ]
    ),
    { id: 'both', type: 'join' }
  ],
  edges: [
    { from: 'trigger', to: 'size' },
    { from: 'size', port: 'big', to: 'gift' },
    { from: 'size', port: 'small', to: 'each' },
    { from: 'gift', to: 'both' },
    { from: 'each', to: 'both' }
  ]
};
const elk = new Elk();
const layout = (graph: Parameters<typeof elk.layout>[0]) => elk.layout(graph);

function absolute(drawing: Drawing, box: Box): { x: number; y: number } {
  const parent = drawing.boxes.find((other) => other.id === box.parent);
  const base = parent ? absolute(drawing, parent) : { x: 0, y: 0 };
  return { x: base.x + box.at.x, y: base.y + box.at.y };
}

/** Boxes of one graph that cover each other, and boxes that stand out of their loop. */
function misplaced(drawing: Drawing): string[] {
  const found: string[] = [];
  const overlap = (a: Box, b: Box): boolean =>
    a.at.x < b.at.x + b.size.width &&
    b.at.x < a.at.x + a.size.width &&
    a.at.y < b.at.y + b.size.height &&
    b.at.y < a.at.y + a.size.height;
  drawing.boxes.forEach((box, at) => {
    for (const other of drawing.boxes.slice(at + 1))
      if (box.parent === other.parent && overlap(box, other)) found.push(`${box.id} on ${other.id}`);
    const parent = drawing.boxes.find((each) => each.id === box.parent);
    if (
      parent &&
      (box.at.x < 0 ||
        box.at.y < 0 ||
        box.at.x + box.size.width > parent.size.width ||
        box.at.y + box.size.height > parent.size.height)
    ) {
      found.push(`${box.id} out of ${parent.id}`);
    }
  });
  return found;
}

describe('a drawing', () => {
  it('has every node and its start once, a loop before what stands in it', () => {
    const { boxes } = drawingOf(example);
    const ids = boxes.map((box) => box.id);
    expect(new Set(ids).size).toBe(ids.length);
    expect(ids).toEqual([
      'trigger',
      'size',
      'gift',
      'each',
      'each/trigger',
      'each/charge',
      'each/deep',
      'each/deep/trigger',
      'each/deep/log',
      'both'
    ]);
  });

  it('laid out, nothing covers anything and every node is within its loop', async () => {
    const drawing = drawingOf(example, await arrange(example, false, layout));
    expect(misplaced(drawing)).toEqual([]);
    const at = (id: string) => drawing.boxes.find((box) => box.id === id)!.at;
    expect(at('trigger').x).toBeLessThan(at('size').x);
    expect(at('size').x).toBeLessThan(at('gift').x);
    expect(at('gift').x).toBeLessThan(at('both').x);
    expect(at('gift').y).toBeLessThan(at('each').y); // in the order of the ports
  });

  it('without a layout everything still has a place of its own, in columns', () => {
    const drawing = drawingOf(example);
    const column = (id: string) => drawing.boxes.find((box) => box.id === id)!.at.x;
    expect(column('size')).toBeLessThan(column('gift'));
    expect(column('gift')).toBe(column('each'));
    const places = new Set(drawing.boxes.map((box) => `${box.parent} ${box.at.x} ${box.at.y}`));
    expect(places.size).toBe(drawing.boxes.length);
  });

  it('keeps the places a definition gives; one without a place goes behind what leads to it', async () => {
    const placed: Definition = {
      nodes: [step('a', { position: { x: 40, y: 80 } }), step('b'), step('c', { position: { x: 40, y: 1e308 } })],
      edges: [
        { from: 'trigger', to: 'a' },
        { from: 'a', to: 'b' },
        { from: 'b', to: 'c' }
      ]
    };
    expect(needsLayout(placed)).toBe(false);
    expect(await arrange(placed, false, layout)).toEqual({});
    const at = new Map(drawingOf(placed).boxes.map((box) => [box.id, box.at]));
    expect(at.get('a')).toEqual({ x: 40, y: 80 });
    expect(at.get('b')!.x).toBeGreaterThan(40 + 224);
    expect(at.get('c')!.x).toBeGreaterThan(at.get('b')!.x + 224);
  });

  it('lays out anew what has places, when asked', async () => {
    const placed = { ...example, nodes: example.nodes.map((node) => ({ ...node, position: { x: 0, y: 0 } })) };
    const places = await arrange(placed, true, layout);
    expect(misplaced(drawingOf(withoutPlaces(placed), places))).toEqual([]);
  });

  it('draws a circle, lines to nowhere and of ports that are not there without an end', () => {
    const { lines } = drawingOf({
      nodes: [step('a'), step('b')],
      edges: [
        { from: 'a', to: 'b' },
        { from: 'b', to: 'a' },
        { from: 'a', to: 'b' },
        { from: 'a', to: 'no' },
        { from: 'a', port: 'no', to: 'b' },
        { from: 'a', to: 'trigger' }
      ]
    });
    expect(lines.map(({ source, target }) => `${source}→${target}`)).toEqual(['a→b', 'b→a']);
  });

  it('a loop without a body has room for one', () => {
    const { boxes } = drawingOf({ nodes: [{ id: 'each', type: 'loop' }], edges: [] });
    expect(boxes.map((box) => box.id)).toEqual(['trigger', 'each', 'each/trigger']);
    expect(misplaced({ boxes, lines: [] })).toEqual([]);
  });

  it('a layout that fails leaves columns', async () => {
    expect(await arrange(example, false, () => Promise.reject(new Error('no worker')))).toEqual({});
  });

  it('5,000 nodes are drawn without being laid out', async () => {
    const nodes = Array.from({ length: 5_000 }, (_, at) => step(`n${at}`));
    const edges = nodes.map((node, at) => ({ from: at ? `n${at - 1}` : 'trigger', to: node.id }));
    const large = { nodes, edges };
    const places = await arrange(large, false, () => Promise.reject(new Error('it must not be asked')));
    expect(drawingOf(large, places).boxes).toHaveLength(5_001);
  });
});

describe('nodes as they are shown', () => {
  it('stay the same object unless something about them changed', () => {
    const before = boxNodes(drawingOf(example), [], {});
    const moved = {
      ...example,
      nodes: example.nodes.map((node) => (node.id === 'gift' ? { ...node, position: { x: 900, y: 900 } } : node))
    };
    const after = boxNodes(drawingOf(moved), boxNodes(drawingOf(moved), before, {}), {
      states: { both: { standing: 'failed' } }
    });
    const same = after.filter(
      (node, at) =>
        node ===
        boxNodes(drawingOf(moved), after, { states: { both: after.find((n) => n.id === 'both')!.data.state! } })[at]
    );
    expect(same).toHaveLength(after.length);
    expect(after.find((node) => node.id === 'both')).not.toBe(before.find((node) => node.id === 'both'));
  });
});

describe('ports', () => {
  it.each([
    [step('a'), ['out']],
    [way, ['big', 'small']],
    [{ ...way, config: { conditions: [{ port: 'x', when: '1' }] } }, ['x', 'default']],
    [{ ...way, config: { conditions: 'broken', default: 3 } }, []],
    [{ id: 'w', type: 'wait_event', on_error: 'port' }, ['out', 'timeout', 'error']],
    [{ id: 't', type: 'terminate' }, []],
    [step('a', { on_error: 'continue' }), ['out']],
    [step('a', { on_error: 'port' }), ['out', 'error']]
  ] as [NodeDoc, string[]][])('%j has %j', (node, ports) => {
    expect(portsOf(node)).toEqual(ports);
    expect(portPlaces(node).out.map(({ port }) => port)).toEqual(ports);
  });
});

describe('a line about a node', () => {
  it.each([
    [
      { id: 'a', type: 'http_call', config: { method: 'POST', url: 'https://api.example.com/orders/{{ input.id }}' } },
      'POST api.example.com/orders/{{ input.id }}'
    ],
    [{ id: 'a', type: 'delay', config: { seconds: 7200 } }, '2 h'],
    [{ id: 'a', type: 'transform', config: { template: { total: 1, name: 'x' } } }, '{ total, name }'],
    [{ id: 'a', type: 'http_call', config: { url: ['no', 'text'] } }, 'GET ["no","text"]'],
    [{ id: 'a', type: 'strange' }, '']
  ] as [NodeDoc, string][])('%j', (node, text) => expect(summaryOf(node)).toBe(text));

  it('is short, whatever the config holds', () => {
    expect(summaryOf(step('a', { config: { expression: 'x'.repeat(1e6) } })).length).toBeLessThan(200);
  });
});

describe('reading a draft', () => {
  it.each([
    [[], /JSON object/],
    [{ nodes: 3 }, /must be lists/],
    [{ nodes: [3] }, /Node 0 is no object/],
    [{ nodes: [{ id: 'a/b', type: 'join' }] }, /no id that is allowed/],
    [{ nodes: [{ id: 'trigger', type: 'join' }] }, /no id that is allowed/],
    [{ nodes: [step('a'), step('a')] }, /Two nodes have the id “a”/],
    [{ nodes: [{ id: 'a' }] }, /has no type/],
    [{ nodes: [{ id: 'a', type: 'join', config: 3 }] }, /config of “a” is no object/],
    [{ nodes: [loop('l', [step('x'), step('x')], [])] }, /Two nodes in the loop “l”/],
    [{ edges: [{ from: 1, to: 'a' }] }, /Edge 0/]
  ])('%j can not be drawn, and the reason is told', (draft, reason) =>
    expect(readDefinition(draft).reason).toMatch(reason)
  );

  it('refuses loops nested without end', () => {
    let nodes: NodeDoc[] = [step('x')];
    for (let depth = 0; depth < 1_000; depth++) nodes = [loop('l', nodes, [])];
    expect(readDefinition({ nodes }).reason).toMatch(/deep/);
  });

  it('takes what is merely unfinished', () => expect(readDefinition({}).definition).toEqual({ nodes: [], edges: [] }));
});

describe('addresses', () => {
  it('of steps of runs', () => expect(addressOfStep('each[3].deep[0].log')).toBe('each/deep/log'));
  it('lead to nodes', () => expect(nodeAt(example, 'each/deep/log')?.id).toBe('log'));
  it.each([
    ['$', undefined],
    ['$.nodes[1].config.expression', { address: 'gift', rest: '.config.expression' }],
    ['$.nodes[2].config.body.nodes[0]', { address: 'each/charge', rest: '' }],
    ['$.nodes[2].config.body.edges[1].to', { address: 'each', edge: 1, rest: '.to' }],
    ['$.nodes[2].config.body', { address: 'each', rest: '.config.body' }],
    ['$.edges[4].port', { address: '', edge: 4, rest: '.port' }],
    ['$.nodes[9]', undefined]
  ])('%s of a fault points at %j', (path, found) => expect(pointed(example, path)).toEqual(found));
});

it('a graph without nodes has the extent of its start', () => {
  const { origin, end } = extentOf({ nodes: [], edges: [] }, '');
  expect(end.x - origin.x).toBe(112);
});

describe('what is seen at first', () => {
  const chain = (count: number): Definition => ({
    nodes: Array.from({ length: count }, (_, at) => step(`n${at}`, { position: { x: at * 288, y: 0 } })),
    edges: [{ from: 'trigger', to: 'n0' }]
  });
  const view = { width: 1000, height: 600 };
  it('is all of a small one, in the middle', () => {
    const { zoom, x } = beginning(drawingOf(chain(1)), view);
    expect(zoom).toBe(1);
    expect(x + (-176 + (224 + 176) / 2) * zoom).toBeCloseTo(500);
  });
  it('is the start of a large one, not too small to be read', () => {
    const { zoom, x } = beginning(drawingOf(chain(100)), view);
    expect(zoom).toBe(0.5);
    expect(x + -176 * zoom).toBeCloseTo(32);
  });
});
