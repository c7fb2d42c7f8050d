/**
 * Events of runs as they commit (docs/reference/live.md). The browser reconnects by itself and sends the last id it saw, so nothing is
 * missed or told twice; when streams are refused (too many, an old proxy) the page asks again every few seconds instead. When they are
 * refused because a session has ended, it leads to the page to sign in.
 */
import { askWhySilent } from '$lib/account/account.svelte';

export interface LiveEvent {
  run_id: string;
  workflow: string;
  run_status: string;
  epoch: number;
  at: string;
  seq: number;
  type: string;
  [member: string]: unknown;
}

export type LiveState = 'connecting' | 'live' | 'catching-up' | 'polling' | 'ended';

interface Watching {
  /** Every event, in order. Called in batches of one animation frame: a thousand events a second draw sixty times. */
  onEvents: (events: LiveEvent[]) => void;
  /** It is live from now on, also after it was not: read what was missed if events are told from now on only. */
  onOpen?: () => void;
  /** Events before now are forgotten: read the list again. */
  onReset?: () => void;
  /** Nothing comes live: ask again. */
  onPoll?: () => void;
  pollMs?: number;
}

export class Live {
  state = $state<LiveState>('connecting');
  readonly #source: EventSource;
  #waiting: LiveEvent[] = [];
  #frame = 0;
  #timer: ReturnType<typeof setInterval> | undefined;
  readonly #watching: Watching;

  constructor(url: string, watching: Watching) {
    this.#watching = watching;
    this.#source = new EventSource(url);
    this.#source.onopen = () => {
      this.state = 'live';
      this.#stopPolling();
      this.#watching.onOpen?.();
    };
    this.#source.onmessage = (message: MessageEvent<string>) => {
      this.state = 'live';
      this.#waiting.push(JSON.parse(message.data) as LiveEvent);
      // Hidden pages have no frames; they still must not pile up events.
      if (document.hidden) this.#tell();
      else this.#frame ||= requestAnimationFrame(() => this.#tell());
    };
    this.#source.addEventListener('lagged', () => (this.state = 'catching-up'));
    this.#source.addEventListener('reset', () => this.#watching.onReset?.());
    this.#source.addEventListener('end', () => {
      this.#tell();
      this.state = 'ended';
      this.#source.close();
    });
    this.#source.onerror = () => {
      if (this.state === 'ended') return;
      if (this.#source.readyState === EventSource.CLOSED) {
        this.#poll();
        void askWhySilent();
      } else this.state = 'connecting';
    };
  }

  close(): void {
    this.#source.close();
    this.#stopPolling();
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
  }

  #tell(): void {
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
    const events = this.#waiting;
    this.#waiting = [];
    if (events.length) this.#watching.onEvents(events);
  }

  #poll(): void {
    this.state = 'polling';
    this.#timer ??= setInterval(() => this.#watching.onPoll?.(), this.#watching.pollMs ?? 3000);
  }

  #stopPolling(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}
