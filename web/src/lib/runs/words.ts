import type { BulkKind } from './bulk.svelte';

/** How what is done to many runs is called: as a command, while it lasts, and afterwards. */
export const DO: Record<BulkKind, string> = { cancel: 'Cancel', replay: 'Replay', discard: 'Discard' };
export const DOING: Record<BulkKind, string> = { cancel: 'Cancelling', replay: 'Replaying', discard: 'Discarding' };
export const DONE: Record<BulkKind, string> = { cancel: 'Cancelled', replay: 'Replayed', discard: 'Discarded' };

/** What it means for the runs. */
export const MEANS: Record<BulkKind, string> = {
  cancel: 'They end where they are. How a call ends that is under way, nobody will know.',
  replay: 'Each begins anew with the same trigger, as a new run. The old ones stay as they are.',
  discard: 'They leave the list of dead letters. The runs stay, and can still be replayed.'
};

export const runs = (number: number): string => (number === 1 ? '1 run' : `${number.toLocaleString()} runs`);
