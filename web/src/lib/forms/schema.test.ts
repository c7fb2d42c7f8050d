import { expect, it } from 'vitest';
import { fieldsOf, kindOf, labelOf, withMember, type Schema } from './schema';

it('knows how each value is edited', () => {
  expect(kindOf({ type: 'string' }, 'transform.expression')).toBe('expression');
  expect(kindOf({ type: 'string' }, 'http_call.url')).toBe('text');
  expect(kindOf({ type: 'string' }, 'wait_event.event')).toBe('plain');
  expect(kindOf({ description: 'any JSON' }, 'transform.template')).toBe('template');
  expect(kindOf({ type: 'object', additionalProperties: { type: 'string' } }, 'http_call.headers')).toBe('map');
  expect(kindOf({ type: 'array', items: { type: 'object' } }, 'branch.conditions')).toBe('list-of-groups');
  expect(kindOf({ type: ['number', 'string'] }, 'delay.seconds')).toBe('text');
  expect(kindOf({ enum: ['a'] }, 'x.y')).toBe('choice');
});

it('shows what other values ask for', () => {
  const auth: Schema = {
    type: 'object',
    properties: { type: { enum: ['bearer', 'basic'] } },
    allOf: [
      {
        if: { properties: { type: { const: 'bearer' } } },
        then: { properties: { type: true, token: { type: 'string' } }, required: ['token'] }
      },
      {
        if: { properties: { type: { const: 'basic' } } },
        then: { properties: { type: true, user: { type: 'string' } } }
      }
    ]
  };
  expect(fieldsOf(auth, { type: 'bearer' }).map(({ name }) => name)).toEqual(['type', 'token']);
  expect(fieldsOf(auth, { type: 'basic' }).map(({ name }) => name)).toEqual(['type', 'user']);
  expect(fieldsOf(auth, {}).map(({ name }) => name)).toEqual(['type']);
});

it('labels fields with their unit', () => {
  expect([labelOf('backoff_max_s'), labelOf('url'), labelOf('response_limit_bytes'), labelOf('s')]).toEqual([
    'Backoff max (seconds)',
    'Url',
    'Response limit (bytes)',
    'S'
  ]);
});

it('changes members without changing the object', () => {
  const object = { a: 1, b: 2 };
  expect(withMember(object, 'b', undefined)).toEqual({ a: 1 });
  expect(withMember(object, 'c', 3)).toEqual({ a: 1, b: 2, c: 3 });
  expect(object).toEqual({ a: 1, b: 2 });
});
