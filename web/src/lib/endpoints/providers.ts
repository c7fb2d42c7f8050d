import type { Schemas } from '$lib/api/client';

export type Signature = NonNullable<Schemas['EndpointConfig']['signature']>;

/** A sender people know by name: how it signs, and what to paste where. */
export interface Provider {
  id: string;
  name: string;
  /** Other words somebody may type. */
  aliases: string;
  /** `ours`: we make the secret and it is pasted there. `theirs`: they show one and it is pasted here. `either`: both ways work. */
  secret: 'ours' | 'theirs' | 'either';
  /** What the secret is called there, and what it looks like. */
  secretIs: string;
  looksLike?: RegExp;
  make?: () => string;
  steps: (url: string) => string[];
  signature: (secret: string) => Signature;
}

const random = (bytes: number): Uint8Array => crypto.getRandomValues(new Uint8Array(bytes));
const hex = (bytes: number): string => [...random(bytes)].map((byte) => byte.toString(16).padStart(2, '0')).join('');
const base64 = (bytes: number): string => btoa(String.fromCharCode(...random(bytes)));

export const PROVIDERS: Provider[] = [
  {
    id: 'standard_webhooks',
    name: 'Standard Webhooks',
    aliases: 'svix whsec openai clerk resend supabase anthropic',
    secret: 'either',
    secretIs: 'a signing secret that begins with whsec_',
    looksLike: /^whsec_[A-Za-z0-9+/]{32,}={0,2}$/,
    make: () => `whsec_${base64(32)}`,
    steps: (url) => [
      `Give the sender this address: ${url}`,
      'Copy the signing secret it shows for it, and paste it here; or set there the one made here.'
    ],
    signature: (secret) => ({ scheme: 'standard_webhooks', secrets: [secret], public_keys: [] })
  },
  {
    id: 'github',
    name: 'GitHub',
    aliases: 'git hub repository organisation',
    secret: 'ours',
    secretIs: 'the text in “Secret” of the webhook',
    make: () => hex(32),
    steps: (url) => [
      'In the repository or organisation: Settings → Webhooks → Add webhook.',
      `Payload URL: ${url}`,
      'Content type: application/json.',
      'Secret: the one below. Then choose the events, and Add webhook; GitHub sends a ping at once.'
    ],
    signature: (secret) => ({ scheme: 'github', secrets: [secret] })
  },
  {
    id: 'stripe',
    name: 'Stripe',
    aliases: 'payments',
    secret: 'theirs',
    secretIs: 'the signing secret of the destination, beginning with whsec_',
    looksLike: /^whsec_\S{16,}$/,
    steps: (url) => [
      'In the dashboard: Developers → Webhooks → Add destination.',
      `Endpoint URL: ${url}`,
      'Choose the events and save. Then reveal “Signing secret” and paste it here.'
    ],
    signature: (secret) => ({ scheme: 'stripe', secrets: [secret] })
  },
  {
    id: 'slack',
    name: 'Slack',
    aliases: 'events api bot chat',
    secret: 'theirs',
    secretIs: 'the “Signing Secret” of the app',
    looksLike: /^[0-9a-f]{32}$/,
    steps: (url) => [
      'At api.slack.com/apps, open the app: Basic Information → App Credentials → Signing Secret. Paste it here and save first.',
      `Then Event Subscriptions → Request URL: ${url}`,
      'Slack sends a challenge, which is answered by itself.'
    ],
    signature: (secret) => ({ scheme: 'slack', secrets: [secret] })
  },
  {
    id: 'shopify',
    name: 'Shopify',
    aliases: 'shop orders',
    secret: 'theirs',
    secretIs: 'the client secret of the app',
    steps: (url) => [
      `Subscribe to the topics with this address: ${url}`,
      'In the app: API credentials → Client secret. Paste it here.'
    ],
    signature: (secret) => ({ scheme: 'shopify', secrets: [secret] })
  },
  {
    id: 'gitlab',
    name: 'GitLab',
    aliases: 'git lab x-gitlab-token',
    secret: 'ours',
    secretIs: 'the “Secret token” of the webhook',
    make: () => hex(32),
    steps: (url) => [
      'In the project or group: Settings → Webhooks → Add new webhook.',
      `URL: ${url}`,
      'Secret token: the one below. GitLab sends it as it is, so let this address be reached by HTTPS alone.'
    ],
    signature: (secret) => ({ scheme: 'token', secrets: [secret], header: 'X-Gitlab-Token', prefix: '' })
  },
  {
    id: 'hmac',
    name: 'Any sender that signs with HMAC-SHA256',
    aliases: 'generic custom own linear sentry intercom',
    secret: 'either',
    secretIs: 'the secret both sides know',
    make: () => hex(32),
    steps: (url) => [
      `Let the sender post to ${url}`,
      'It sends the HMAC-SHA256 of the raw body under the secret, in hex, in the header X-Signature. Other headers, encodings and time stamps: see all settings.'
    ],
    signature: (secret) => ({ scheme: 'hmac', secrets: [secret], header: 'X-Signature' }) as Signature
  },
  {
    id: 'token',
    name: 'A token in a header',
    aliases: 'api key shared secret x-api-key',
    secret: 'ours',
    secretIs: 'the token',
    make: () => hex(32),
    steps: (url) => [
      `Let the sender post to ${url}`,
      'It sends the token in the header X-Token. That proves who sends and not what, so let this address be reached by HTTPS alone.'
    ],
    signature: (secret) => ({ scheme: 'token', secrets: [secret], header: 'X-Token', prefix: '' })
  }
];

/** Those that somebody may mean by what was typed, the likeliest first. */
export function searched(text: string): Provider[] {
  const wanted = text.trim().toLowerCase();
  if (!wanted) return PROVIDERS;
  const rank = (provider: Provider): number => {
    const name = provider.name.toLowerCase();
    if (name.startsWith(wanted)) return 0;
    if (name.includes(wanted)) return 1;
    return provider.aliases.includes(wanted) ? 2 : 3;
  };
  return PROVIDERS.filter((provider) => rank(provider) < 3).sort((a, b) => rank(a) - rank(b));
}

/** A name for the secret of an endpoint: `SHOP_ORDERS_GITHUB`. */
export const secretName = (path: string, provider: string): string =>
  `${path}_${provider}`
    .toUpperCase()
    .replace(/[^A-Z0-9]+/g, '_')
    .replace(/^([0-9])/, '_$1')
    .slice(0, 64);

/** How an endpoint is guarded, in a few words. */
export function guarded(config: Record<string, unknown>): string {
  const signature = config.signature as { scheme?: string } | null | undefined;
  if (!signature?.scheme) return 'open to everybody';
  return PROVIDERS.find(({ id }) => id === signature.scheme)?.name ?? signature.scheme;
}
