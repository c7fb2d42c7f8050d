/** Steps of loops, as one mark on the node they are steps of. */
import { api, ask } from '$lib/api/client';
import type { NodeState, Standing } from '$lib/flow/state';
import type { Step } from './steps';
import { errorText } from './error';

const LOOPS_MAX = 20;
const ITEMS = 50; // items of a loop that are looked at

/** Of several items of a loop the canvas shows what wants to be looked at most. */
const FIRST: readonly Standing[] = ['failed', 'running', 'waiting', 'cancelled', 'completed', 'skipped'];

/** How many items went well, of how many, and how many failed: `18/20, 2 failed`. */
export const tally = (well: number, count: number, failed: number): string =>
  `${well}/${count}${failed ? `, ${failed} failed` : ''}`;

/** The items of a loop in a few characters; a loop that goes on although items failed must not look as if all was well. */
export function ofLoop({
  done,
  count,
  failed
}: NonNullable<Step['loop']>): Pick<NodeState, 'note' | 'warns' | 'title'> {
  const note = tally(done - failed, count, failed);
  return failed ? { note, warns: true, title: `${failed} of ${count} items failed, and the loop went on.` } : { note };
}

/** What the steps of one node in many items come to. */
export function ofItems(steps: readonly Step[]): NodeState {
  const standing = FIRST.find((it) => steps.some(({ status }) => status === it))!;
  const error = errorText(steps.find((step) => step.error !== null)?.error);
  const loops = steps.flatMap(({ loop }) => (loop ? [loop] : []));
  if (loops.length) {
    const sum = (of: 'done' | 'count' | 'failed'): number => loops.reduce((all, loop) => all + loop[of], 0);
    const told = ofLoop({ ...loops[0]!, done: sum('done'), count: sum('count'), failed: sum('failed') });
    return { standing, ...told, ...(error && { title: error }) };
  }
  const failed = steps.filter(({ status }) => status === 'failed').length;
  const well = steps.filter(({ status }) => status === 'completed').length;
  return { standing, note: tally(well, steps.length, failed), ...(error && { title: error }) };
}

/** The steps of the items of all loops, also within loops: some of each, of those that failed first, and of so many loops. */
export async function stepsOfItems(id: string, steps: readonly Step[]): Promise<Step[]> {
  const found = new Map<string, Step>();
  let left = LOOPS_MAX;
  let level: readonly Step[] = steps;
  while (left > 0) {
    const loops = level.filter(({ loop }) => loop && loop.begun > 0);
    loops.sort((a, b) => b.loop!.failed - a.loop!.failed);
    const looked = loops.slice(0, left);
    if (looked.length === 0) break;
    left -= looked.length;
    const read = (within: string, failed: boolean) =>
      ask(api.GET('/api/v1/runs/{id}/steps', { params: { path: { id }, query: { within, limit: ITEMS, failed } } }));
    const pages = await Promise.all(
      looked.flatMap(({ path, loop }) => [
        read(path, false),
        ...(loop!.failed && loop!.count > ITEMS ? [read(path, true)] : [])
      ])
    );
    const fresh = pages.flatMap(({ items }) => items).filter(({ path }) => !found.has(path));
    for (const step of fresh) found.set(step.path, step);
    level = fresh;
  }
  return [...found.values()];
}
