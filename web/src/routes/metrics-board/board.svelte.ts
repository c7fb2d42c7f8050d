/** What the page of metrics shows, read again and again while somebody looks. */
import { api, ask, type Schemas } from '$lib/api/client';
import { asProblem, type Problem } from '$lib/api/problem';
import { withLook, type Look } from './rates';

const LOOKS_MAX = 300;
const OVERVIEW_MS = 2000;
const DOCTOR_MS = 15_000;
const BUCKETS = 60;

export const SPANS = { '15m': 900, '1h': 3600, '6h': 21_600, '24h': 86_400, '7d': 604_800 } as const;
export type Span = keyof typeof SPANS;
export const SPAN_NAMES: Record<Span, string> = {
  '15m': '15 minutes',
  '1h': '1 hour',
  '6h': '6 hours',
  '24h': '24 hours',
  '7d': '7 days'
};

/** Calls something now, and again so long after each answer; nothing while the page is hidden. */
export function again(ms: number, read: () => Promise<void>): () => void {
  let timer: ReturnType<typeof setTimeout>;
  let isOver = false;
  const turn = async (): Promise<void> => {
    if (!document.hidden) await read();
    if (!isOver) timer = setTimeout(turn, ms);
  };
  const shown = (): void => {
    if (document.hidden) return;
    clearTimeout(timer);
    void turn();
  };
  document.addEventListener('visibilitychange', shown);
  void turn();
  return () => {
    isOver = true;
    clearTimeout(timer);
    document.removeEventListener('visibilitychange', shown);
  };
}

export class Board {
  looks = $state.raw<Look[]>([]);
  statistics = $state.raw<Schemas['Statistics'] | undefined>();
  checks = $state.raw<Schemas['Check'][] | undefined>();
  problem = $state.raw<Problem | undefined>();
  statisticsProblem = $state.raw<Problem | undefined>();
  /** Reads what was once more. */
  lookBack: () => Promise<void> = () => Promise.resolve();

  get overview(): Schemas['Overview'] | undefined {
    return this.looks.at(-1)?.overview;
  }

  /** Watches what is now; the answer ends it. */
  watch(): () => void {
    const ends = [again(OVERVIEW_MS, () => this.look()), again(DOCTOR_MS, () => this.#ask())];
    return () => ends.forEach((end) => end());
  }

  /** Watches what was, over a time up to now. */
  watchSpan(span: Span, workflow: string): () => void {
    let isOver = false;
    this.statistics = undefined;
    this.lookBack = async () => {
      const query = {
        since: new Date(Date.now() - SPANS[span] * 1000).toISOString(),
        buckets: BUCKETS,
        ...(workflow ? { workflow } : {})
      };
      try {
        const found = await ask(api.GET('/api/v1/statistics', { params: { query } }));
        if (isOver) return;
        this.statistics = found;
        this.statisticsProblem = undefined;
      } catch (error) {
        if (!isOver) this.statisticsProblem = asProblem(error);
      }
    };
    const end = again(Math.max(5000, (SPANS[span] * 1000) / BUCKETS / 4), this.lookBack);
    return () => {
      isOver = true;
      end();
    };
  }

  async look(): Promise<void> {
    try {
      const overview = await ask(api.GET('/api/v1/overview'));
      const at = Date.parse(overview.installation?.database.at ?? overview.at) / 1000;
      this.looks = withLook(this.looks, { at, overview }, LOOKS_MAX);
      this.problem = undefined;
    } catch (error) {
      this.problem = asProblem(error);
    }
  }

  async #ask(): Promise<void> {
    try {
      this.checks = (await ask(api.GET('/api/v1/doctor'))).checks;
    } catch {
      this.checks = undefined; // not for everybody; and whether the server answers is told above
    }
  }
}
