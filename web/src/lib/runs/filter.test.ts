import { expect, it } from 'vitest';
import { ANY, filterIn, fromField, isAny, mayPass, paramsOf, queryOf, toField } from './filter';

const back = (text: string): string => paramsOf(filterIn(new URLSearchParams(text))).toString();

it('is the same after it stood in an address', () => {
  for (const text of [
    '',
    'status=running&status=failed&workflow=orders&last=1h&q=abc',
    'since=2026-01-01T00%3A00%3A00.000Z&until=2026-01-02T00%3A00%3A00.000Z',
    'endpoint=in'
  ])
    expect(back(text)).toBe(text);
});

it('leaves out what makes no sense', () => {
  expect(back('status=odd&status=failed&last=1y&since=never&page=7&q=%20')).toBe('status=failed');
  expect(isAny(filterIn(new URLSearchParams('last=1y')))).toBe(true);
});

it('asks the API for a time that counts back from now', () => {
  const query = queryOf({ ...ANY, range: '1h', statuses: ['failed'] }, Date.parse('2026-01-01T12:00:00Z'));
  expect(query).toMatchObject({ status: ['failed'], since: '2026-01-01T11:00:00.000Z' });
  expect(query.workflow ?? query.q ?? query.until).toBeUndefined();
});

it('tells by an event whether its run may be wanted', () => {
  const failed = { workflow: 'orders', run_status: 'failed' };
  expect(mayPass(ANY, failed)).toBe(true);
  expect(mayPass({ ...ANY, statuses: ['completed'] }, failed)).toBe(false);
  expect(mayPass({ ...ANY, statuses: ['failed'], workflow: 'other' }, failed)).toBe(false);
});

it('gives a moment to a field and takes it back', () =>
  expect(fromField(toField('2026-03-29T01:30:00.000Z'))).toBe('2026-03-29T01:30:00.000Z'));
