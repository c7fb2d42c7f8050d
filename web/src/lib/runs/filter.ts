/** Which runs the list shows, as it stands in the address of the page: it can be kept, sent to somebody, and gone back to. */
export const STATUSES = ['queued', 'running', 'waiting', 'paused', 'completed', 'failed', 'cancelled'] as const;
export type RunStatus = (typeof STATUSES)[number];
export const LIVE: ReadonlySet<string> = new Set(['queued', 'running', 'waiting', 'paused']);

/** Times that count back from now, in ms. */
export const RANGES = { '15m': 900_000, '1h': 3_600_000, '24h': 86_400_000, '7d': 604_800_000 } as const;
export type Range = keyof typeof RANGES;
export const RANGE_NAMES: Record<Range, string> = {
  '15m': 'Last 15 minutes',
  '1h': 'Last hour',
  '24h': 'Last 24 hours',
  '7d': 'Last 7 days'
};

export interface RunFilter {
  statuses: RunStatus[];
  workflow: string;
  endpoint: string;
  /** A time that counts back from now, `custom` for `since` and `until`, or nothing. */
  range: Range | 'custom' | '';
  /** RFC 3339, or nothing. */
  since: string;
  until: string;
  q: string;
}

export const ANY: RunFilter = { statuses: [], workflow: '', endpoint: '', range: '', since: '', until: '', q: '' };

export function filterIn(params: URLSearchParams): RunFilter {
  const moment = (name: string): string => {
    const at = Date.parse(params.get(name) ?? '');
    return Number.isNaN(at) ? '' : new Date(at).toISOString();
  };
  const range = params.get('last') ?? '';
  const [since, until] = [moment('since'), moment('until')];
  return {
    statuses: STATUSES.filter((status) => params.getAll('status').includes(status)),
    workflow: params.get('workflow') ?? '',
    endpoint: params.get('endpoint') ?? '',
    range: range in RANGES ? (range as Range) : since || until ? 'custom' : '',
    since,
    until,
    q: params.get('q') ?? ''
  };
}

export function paramsOf(filter: RunFilter): URLSearchParams {
  const params = new URLSearchParams();
  for (const status of filter.statuses) params.append('status', status);
  if (filter.workflow) params.set('workflow', filter.workflow);
  if (filter.endpoint) params.set('endpoint', filter.endpoint);
  if (filter.range && filter.range !== 'custom') params.set('last', filter.range);
  if (filter.range === 'custom' && filter.since) params.set('since', filter.since);
  if (filter.range === 'custom' && filter.until) params.set('until', filter.until);
  if (filter.q.trim()) params.set('q', filter.q.trim());
  return params;
}

/** The same for `GET /api/v1/runs`. */
export function queryOf(filter: RunFilter, now = Date.now()) {
  return {
    status: filter.statuses.length ? filter.statuses : undefined,
    workflow: filter.workflow ? [filter.workflow] : undefined,
    endpoint: filter.endpoint || undefined,
    ...spanOf(filter, now),
    q: filter.q.trim() || undefined
  };
}

export function spanOf(filter: Pick<RunFilter, 'range' | 'since' | 'until'>, now = Date.now()) {
  if (filter.range === '') return { since: undefined, until: undefined };
  if (filter.range === 'custom') return { since: filter.since || undefined, until: filter.until || undefined };
  return { since: new Date(now - RANGES[filter.range]).toISOString(), until: undefined };
}

export const isAny = (filter: RunFilter): boolean => paramsOf(filter).size === 0;

/** Whether a run of which an event tells may be one that is wanted: all that can be said without asking. */
export function mayPass(filter: RunFilter, event: { workflow: string; run_status: string }): boolean {
  if (filter.workflow && event.workflow !== filter.workflow) return false;
  return filter.statuses.length === 0 || (filter.statuses as string[]).includes(event.run_status);
}

/** A moment as a field for date and time takes it, in the zone of the browser; and back. */
export function toField(at: string): string {
  if (!at) return '';
  const moment = new Date(at);
  return new Date(moment.getTime() - moment.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}
export const fromField = (text: string): string => (text ? new Date(text).toISOString() : '');
