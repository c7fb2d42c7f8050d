import { duration } from '$lib/format';

/** An event without its payloads: what a list of thousands keeps. */
export interface LightEvent {
  seq: number;
  type: string;
  at: string;
  node: string;
  note: string;
}

type Told = Record<string, unknown>;

export function lightened(event: Told): LightEvent {
  return {
    seq: event.seq as number,
    type: event.type as string,
    at: event.at as string,
    node: typeof event.node === 'string' ? event.node : '',
    note: noteOf(event).slice(0, 300)
  };
}

/** What matters about an event, in a few words. */
function noteOf(event: Told): string {
  const text = (name: string): string => (event[name] === undefined || event[name] === null ? '' : String(event[name]));
  const error = event.error as { reason?: unknown; type?: unknown } | null | undefined;
  const until = (): string => {
    const ms = Date.parse(text('until')) - Date.parse(text('at'));
    return Number.isNaN(ms) ? '' : `for ${duration(Math.max(0, ms))}`;
  };
  switch (event.type) {
    case 'run.accepted':
      return `${text('workflow')} version ${text('version')}`;
    case 'lease.taken':
      return `by ${text('owner')}, ${until()}`;
    case 'lease.released':
    case 'lease.expired':
      return `by ${text('owner')}`;
    case 'timer.set':
    case 'deadline.set':
      return until();
    case 'wait.set':
      return `event ${text('name')}${text('key') && `, key ${text('key')}`}, ${until()}`;
    case 'event.received':
      return `event ${text('name')} ${text('id')}`;
    case 'call.started':
      return `attempt ${text('attempt')}`;
    case 'call.failed':
      return `attempt ${text('attempt')}, sent: ${text('sent')}: ${String(error?.reason ?? '')}`;
    case 'loop.begun':
      return `${text('count')} items`;
    case 'child.started':
    case 'child.ended':
      return `${text('workflow') || text('status')} ${text('run_id')}`;
    case 'run.responded':
      return `status ${text('status')}`;
    case 'run.cancelled':
      return [text('by') && `by ${text('by')}`, text('reason')].filter(Boolean).join(': ');
    case 'run.paused':
    case 'run.resumed':
      return text('by') && `by ${text('by')}`;
    default:
      if (error) return `${String(error.type ?? '')}: ${String(error.reason ?? '')}`;
      return event.port === undefined ? '' : `by port ${text('port')}`;
  }
}
