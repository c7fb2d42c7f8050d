import type { Schemas } from '$lib/api/client';
import { shortId } from '$lib/format';

export type ListedRun = Schemas['ListedRun'];
type Origin = ListedRun['origin'];

/** What began a run, in two or three words, and the run behind it. */
export function originOf(origin: Origin, endpoint: string | null): { text: string; run: string | null } {
  const run = origin?.run_id ?? null;
  switch (origin?.kind) {
    case 'schedule':
      return { text: 'schedule', run };
    case 'manual':
      return { text: 'by hand', run };
    case 'workflow':
      return { text: run ? `child of ${shortId(run)}` : 'child', run };
    case 'replay':
      return { text: run ? `replay of ${shortId(run)}` : 'replay', run };
    case 'resumption':
      return { text: run ? `${shortId(run)} from ${origin.step ?? 'a step'}` : 'resumed', run };
    case 'test':
      return { text: 'test run', run };
    default:
      return { text: endpoint === null ? '' : `/${endpoint}`, run };
  }
}
