/** What of a pasted call only its owner may know, so that it becomes a secret and stays out of the definition. Pure. */
import type { HttpCall } from './curl';

export interface Key {
  /** Where it stands, as a person calls it. */
  place: string;
  value: string;
  /** A name for the secret that nothing has yet. */
  name: string;
  /** The call with this text in place of the value. */
  put: (call: HttpCall, text: string) => HttpCall;
}

const TELLING = /(^|[-_])(authorization|cookie|token|secret|password|api-?key|auth-?key|access-?key|key)$/i;

/** The keys in a call, each with a name for its secret. Templates are none: they have left already. */
export function keysIn(call: HttpCall, taken: Iterable<string> = []): Key[] {
  const used = new Set(taken);
  const owner = ownerOf(call.url);
  const found: Key[] = [];
  const add = (place: string, value: string, kind: string, put: Key['put']): void => {
    if (!value || value.includes('{{')) return;
    const name = free(`${owner}_${kind}`, used);
    used.add(name);
    found.push({ place, value, name, put });
  };

  const { auth } = call;
  if (auth?.type === 'bearer') {
    add('Bearer token', auth.token, 'TOKEN', (call, token) => ({ ...call, auth: { ...auth, token } }));
  } else if (auth?.type === 'basic') {
    add(`Password of ${auth.user}`, auth.password, 'PASSWORD', (call, password) => ({
      ...call,
      auth: { ...auth, password }
    }));
  }
  for (const [header, whole] of Object.entries(call.headers ?? {})) {
    if (!TELLING.test(header)) continue;
    // `authorization: Token abc`: the scheme is no secret, and says what the rest is.
    const scheme = header === 'authorization' ? (/^[\w-]+\s+(?=\S)/.exec(whole)?.[0] ?? '') : '';
    const kind = header === 'authorization' ? 'TOKEN' : header.replace(/^x-/, '');
    add(`Header ${header}`, whole.slice(scheme.length), kind, (call, text) => ({
      ...call,
      headers: { ...call.headers, [header]: scheme + text }
    }));
  }
  return found;
}

/** `api.github.com` belongs to GITHUB. */
function ownerOf(url: string): string {
  const host = /^https?:\/\/(?:[^/@]*@)?([^/:?#]+)/i.exec(url)?.[1] ?? '';
  const parts = /^[\d.]+$/.test(host) ? [] : host.split('.');
  return parts.at(-2) ?? parts[0] ?? 'api';
}

function free(wanted: string, used: ReadonlySet<string>): string {
  const stem = wanted
    .toUpperCase()
    .replace(/[^A-Z0-9]+/g, '_')
    .replace(/^(?=\d)/, '_');
  for (let number = 1; ; number++) {
    const name = number === 1 ? stem : `${stem}_${number}`;
    if (!used.has(name)) return name;
  }
}
