/** Addresses of the page to sign in, and back. Pure. */

export const SIGN_IN = '/sign-in';
const ANYWHERE = 'http://own.invalid';

/** Where to sign in when `wanted`, a path with its query, asked for it. */
export const signInFor = (wanted: string): string =>
  wanted === '/' || isSignIn(wanted) ? SIGN_IN : `${SIGN_IN}?to=${encodeURIComponent(wanted)}`;

/**
 * Where to go after signing in: `to` when it is a path of our own, else the start. Everybody can write a link with a `to`, so what a
 * browser could read as another site is none: `//evil`, `/\evil`, `/.//evil`, `javascript:…`.
 */
export function ownPath(to: string | null): string {
  if (!to?.startsWith('/') || !URL.canParse(to, ANYWHERE)) return '/';
  const { origin, pathname, search, hash } = new URL(to, ANYWHERE);
  return origin === ANYWHERE && !pathname.startsWith('//') && !isSignIn(pathname) ? pathname + search + hash : '/';
}

const isSignIn = (path: string): boolean => path.split(/[?#]/, 1)[0] === SIGN_IN;
