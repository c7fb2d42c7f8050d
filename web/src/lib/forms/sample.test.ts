import { expect, it } from 'vitest';
import { completions } from './sample';

const context = {
  input: { items: [{ price: 1, name: 'a' }], user: { name: 'Ada', 'odd key': 1 } },
  trigger: { body: null }
};

it.each([
  ['', ['input', 'trigger']],
  ['inp', ['input', 'trigger']],
  ['input.', ['items', 'user']],
  ['sum(input.items[].', ['price', 'name']],
  ['input.items[0].na', ['price', 'name']],
  ['input.user.', ['name']],
  ['input.items.', []],
  ['trigger.body.', []]
])('behind %s stand %j', (before, names) => expect(completions(context, before).names).toEqual(names));

it('replaces the word that was begun', () => expect(completions(context, 'input.us').from).toBe('input.'.length));
