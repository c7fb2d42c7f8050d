/** What went wrong, as the API tells it (RFC 9457). `status` is 0 when nobody answered. */
export class Problem extends Error {
  readonly type: string;
  readonly title: string;
  readonly detail: string;
  readonly status: number;
  readonly errors: { path: string; code: string; message: string }[];
  /** In how many seconds it may go well, where the server said so (`Retry-After`). */
  readonly retryAfterS: number | undefined;

  constructor(told: Partial<Omit<Problem, 'name' | 'message'>> & { title: string }) {
    super(told.detail ? `${told.title}. ${told.detail}` : told.title);
    this.name = 'Problem';
    this.type = told.type ?? 'about:blank';
    this.title = told.title;
    this.detail = told.detail ?? '';
    this.status = told.status ?? 0;
    this.errors = told.errors ?? [];
    this.retryAfterS = told.retryAfterS;
  }

  /** The last part of its type, such as `unknown-run`: what code may ask for. */
  get kind(): string {
    return this.type.split('/').pop() ?? '';
  }

  /** Nobody known has asked: the session has ended, or there was none. A wrong password is something else. */
  get needsSignIn(): boolean {
    return this.status === 401 && this.kind === 'unauthorized';
  }
}

export function problemOf(error: unknown, response: Response): Problem {
  if (error && typeof error === 'object' && 'title' in error) {
    const retryAfterS = Number(response.headers.get('retry-after')) || undefined;
    return new Problem({ status: response.status, retryAfterS, ...(error as { title: string }) });
  }
  return new Problem({
    title: `The server answered ${response.status}`,
    detail: 'That is not what it should say. Its log may tell more.',
    status: response.status
  });
}

/** Anything that was thrown, as a problem to show. */
export function asProblem(error: unknown): Problem {
  if (error instanceof Problem) return error;
  return new Problem({
    title: 'This page has a fault',
    detail: error instanceof Error ? error.message : String(error)
  });
}
