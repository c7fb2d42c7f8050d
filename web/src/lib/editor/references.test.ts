import { describe, expect, it } from 'vitest';
import { renameInConfig, renameInExpression, renameInTemplate } from './references';

const paths = [['steps', 'old']];
const expression = (source: string): string => renameInExpression(source, paths, 'fresh');

describe('an expression', () => {
  it.each([
    ['steps.old', 'steps.fresh'],
    [' steps . old . x ', ' steps . fresh . x '],
    ['steps."old".x', 'steps.fresh.x'],
    ['length(steps.old.items) > `3` && steps.old', 'length(steps.fresh.items) > `3` && steps.fresh'],
    ['{old: steps.old, steps: input.steps}', '{old: steps.fresh, steps: input.steps}'],
    ['[steps.old, steps.other]', '[steps.fresh, steps.other]'],
    ['input.items[?id == steps.old]', 'input.items[?id == steps.old]'],
    ['sort_by(steps.old, &steps.old)', 'sort_by(steps.fresh, &steps.old)'],
    ['join(`,`, map(&steps.old, input), steps.old)', 'join(`,`, map(&steps.old, input), steps.fresh)'],
    ['steps.old | steps.old', 'steps.fresh | steps.old'],
    ['steps.old || steps.old', 'steps.fresh || steps.fresh'],
    ['input.{a: steps.old}', 'input.{a: steps.old}'],
    ['input.steps.old', 'input.steps.old'],
    ['steps.older.old', 'steps.older.old'],
    ['\'steps.old\' == `"steps.old"`', '\'steps.old\' == `"steps.old"`'],
    ['steps.old[0].old', 'steps.fresh[0].old'],
    ['(steps.old', '(steps.fresh'],
    ["steps.old 'open", "steps.fresh 'open"]
  ])('%s', (before, after) => expect(expression(before)).toBe(after));
});

describe('a template', () => {
  it.each([
    ['steps.old and {{ steps.old }}, {{steps.old.x}}!', 'steps.old and {{ steps.fresh }}, {{steps.fresh.x}}!'],
    [
      "{{ {a: {b: steps.old}} }} {{ '}}' }} {{ steps.old }}",
      "{{ {a: {b: steps.fresh}} }} {{ '}}' }} {{ steps.fresh }}"
    ],
    ['{{ steps.old', '{{ steps.old'],
    ['{ steps.old }', '{ steps.old }']
  ])('%s', (before, after) => expect(renameInTemplate(before, paths, 'fresh')).toBe(after));
});

describe('a config', () => {
  it('has expressions in some fields, templates in all others, and stays the same where nothing changes', () => {
    const branch = { conditions: [{ port: 'a', when: 'steps.old' }], default: 'b' };
    expect(renameInConfig('branch', branch, paths, 'x')).toEqual({
      ...branch,
      conditions: [{ port: 'a', when: 'steps.x' }]
    });
    const call = {
      url: 'https://x/{{ steps.old }}',
      success: 'steps.old',
      json: ['steps.old', { deep: '{{ steps.old }}' }]
    };
    expect(renameInConfig('http_call', call, paths, 'x')).toEqual({
      url: 'https://x/{{ steps.x }}',
      success: 'steps.x',
      json: ['steps.old', { deep: '{{ steps.x }}' }]
    });
    expect(renameInConfig('http_call', call, [['steps', 'no']], 'x')).toBe(call);
  });

  it('of a megabyte takes no time to speak of', () => {
    const text = '{{ steps.old }} {{ '.repeat(50_000);
    const began = performance.now();
    renameInTemplate(text, paths, 'x');
    expect(performance.now() - began).toBeLessThan(20_000);
  });
});
