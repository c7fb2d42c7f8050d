import { expect, it } from 'vitest';
import { guarded, PROVIDERS, searched, secretName } from './providers';

it('finds a provider by its name, the start of it, or another word for it', () => {
  expect(searched('git').map(({ id }) => id)).toEqual(['github', 'gitlab']);
  expect(searched('svix')[0]?.id).toBe('standard_webhooks');
  expect(searched('nobody knows')).toEqual([]);
  expect(searched('')).toEqual(PROVIDERS);
});

it('makes secrets that look as their provider says', () => {
  for (const provider of PROVIDERS) {
    if (provider.make && provider.looksLike) expect(provider.make()).toMatch(provider.looksLike);
    if (provider.make) expect(provider.make()).not.toBe(provider.make());
  }
});

it('names secrets as the API allows', () => {
  expect(secretName('shop/orders-2', 'github')).toBe('SHOP_ORDERS_2_GITHUB');
  expect(secretName('1st', 'slack')).toMatch(/^[A-Z_][A-Z0-9_]*$/);
});

it('says how an endpoint is guarded', () => {
  expect(guarded({})).toBe('open to everybody');
  expect(guarded({ signature: { scheme: 'slack' } })).toBe('Slack');
  expect(guarded({ signature: { scheme: 'jwt' } })).toBe('jwt');
});
