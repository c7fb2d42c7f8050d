import { describe, expect, it } from 'vitest';
import type { Definition } from './definition';
import { drawingOf, lineId } from './drawing';
import { pathOf, routesOf } from './routing';

const at = (id: string, x: number, y: number) => ({ id, type: 'join', position: { x, y } });
const route = (definition: Definition, from: string, to: string) =>
  routesOf(drawingOf(definition)).get(lineId('', from, 'out', to));
const edges = [{ from: 'a', to: 'c' }];

describe('a long line', () => {
  it('with nothing between is one curve', () => {
    expect(
      route({ nodes: [at('a', 0, 0), at('c', 900, 0), at('b', 400, 300)], edges: [{ from: 'a', to: 'c' }] }, 'a', 'c')
    ).toBe(28);
    expect(route({ nodes: [at('a', 0, 0), at('c', 900, 0)], edges }, 'a', 'c')).toBeUndefined();
  });
  it('passes what stands in its way at the nearer side', () => {
    const below = route({ nodes: [at('a', 0, 0), at('b', 400, -20), at('c', 900, 0)], edges }, 'a', 'c');
    expect(below).toBe(-20 + 56 + 14);
    const above = route({ nodes: [at('a', 0, 0), at('b', 400, 10), at('c', 900, 0)], edges }, 'a', 'c');
    expect(above).toBe(10 - 14);
  });
  it('takes the height of an end that is free', () => {
    expect(route({ nodes: [at('a', 0, 0), at('b', 400, 0), at('c', 900, 200)], edges }, 'a', 'c')).toBe(228);
    expect(route({ nodes: [at('a', 0, 200), at('b', 400, 0), at('c', 900, 0)], edges }, 'a', 'c')).toBe(228);
  });
  it('goes through between two', () => {
    expect(
      route({ nodes: [at('a', 0, 0), at('b', 400, -60), at('d', 400, 30), at('c', 900, 0)], edges }, 'a', 'c')
    ).toBe(16);
  });
});

it('backwards, and short, a line is one curve whatever its height', () => {
  expect(pathOf(500, 0, 0, 0, 80)).not.toContain('L');
  expect(pathOf(0, 0, 60, 0, 80)).not.toContain('L');
  expect(pathOf(0, 0, 600, 0, 80)).toContain('L544 80');
});
