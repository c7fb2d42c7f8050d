import { goto } from '$app/navigation';
import { SIGN_IN, signInFor } from './address';

/** To the page to sign in, and back here after it. The page that let nobody in is not kept in the history: going back is no loop. */
export function leadToSignIn(): void {
  if (location.pathname === SIGN_IN) return;
  void goto(signInFor(location.pathname + location.search + location.hash), { replaceState: true });
}
