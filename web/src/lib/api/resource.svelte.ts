import { asProblem, type Problem } from './problem';

/**
 * Something a page reads: loading, there, or a problem. Reading again keeps what is shown until the new is there, so nothing jumps.
 *
 *     const run = resource(() => ask(api.GET('/api/v1/runs/{id}', { params: { path: { id: page.params.id } } })));
 *
 * `read` runs in an effect: it is called again when state it reads (before its first await) changes. Answers that come out of order are dropped.
 */
export function resource<T>(read: () => Promise<T>) {
  let value = $state.raw<T | undefined>();
  let problem = $state.raw<Problem | undefined>();
  let loading = $state(true);
  let turn = 0;

  async function load(): Promise<void> {
    const mine = ++turn;
    loading = true;
    try {
      const found = await read();
      if (mine !== turn) return;
      value = found;
      problem = undefined;
    } catch (error) {
      if (mine !== turn) return;
      problem = asProblem(error);
      if (problem.needsSignIn) {
        problem = undefined; // the page is left for the one to sign in
        return;
      }
    }
    loading = false;
  }

  $effect(() => {
    void load();
    return () => void ++turn;
  });

  return {
    get value() {
      return value;
    },
    /** Shown already, changed here: for changes of which the answer is known. */
    set value(changed: T | undefined) {
      value = changed;
    },
    get problem() {
      return problem;
    },
    get loading() {
      return loading;
    },
    reload: load
  };
}
