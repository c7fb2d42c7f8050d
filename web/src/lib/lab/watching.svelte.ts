import { Story, type Told } from './told';

export type Connection = 'connecting' | 'live' | 'lost' | 'ended';

/**
 * Watches a test as it goes on, or all of one that is over. The browser connects again by itself with the last number it has seen, so
 * nothing is missed or told twice.
 */
export class Watching {
  /** Another one each time something was told: what is drawn of it is drawn again. */
  story = $state.raw({ told: new Story(), version: 0 });
  connection = $state<Connection>('connecting');
  readonly #story = new Story();
  readonly #source: EventSource;
  #waiting: Told[] = [];
  #frame = 0;

  /** `onEnd`: there will be no more, and the test can be read whole. */
  constructor(id: string, onEnd: () => void) {
    this.#source = new EventSource(`/api/v1/lab/tests/${id}/stream`);
    this.#source.onopen = () => (this.connection = 'live');
    this.#source.onmessage = (message: MessageEvent<string>) => {
      this.#waiting.push(JSON.parse(message.data) as Told);
      // Hidden pages have no frames; they still must not pile up events.
      if (document.hidden) this.#tell();
      else this.#frame ||= requestAnimationFrame(() => this.#tell());
    };
    this.#source.addEventListener('end', () => {
      this.#tell();
      this.connection = 'ended';
      this.#source.close();
      onEnd();
    });
    this.#source.onerror = () => {
      if (this.connection !== 'ended')
        this.connection = this.#source.readyState === EventSource.CLOSED ? 'lost' : 'connecting';
    };
  }

  close(): void {
    this.#source.close();
    cancelAnimationFrame(this.#frame);
  }

  #tell(): void {
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
    for (const told of this.#waiting) this.#story.take(told);
    this.#waiting = [];
    this.story = { told: this.#story, version: this.story.version + 1 };
  }
}
