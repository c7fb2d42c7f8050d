import { api, ask, type Schemas } from '$lib/api/client';
import { leadToSignIn } from './lead';

export type Session = Schemas['Session'];

/** Who looks at the pages; unknown until the server was asked. */
class Account {
  session = $state.raw<Session>();

  /** @throws Problem when nobody answers. */
  async read(): Promise<Session> {
    this.session = await ask(api.GET('/api/v1/session'));
    return this.session;
  }
}

export const account = new Account();

/** What a browser does not tell of a stream that was refused: whether it was for want of a sign-in. Then leads there. */
export async function askWhySilent(): Promise<void> {
  const session = await account.read().catch(() => undefined);
  if (session && !session.signed_in) leadToSignIn();
}

/** Whose name is on what is done here, as the audit log says it. */
export const nameOf = (session: Session): string => session.key ?? 'the password';
