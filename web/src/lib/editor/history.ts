/** What can be undone and done again. A step holds what was before and after it; as nothing is changed in place, that costs little. */
export interface Step<T> {
  label: string;
  before: T;
  after: T;
  /** Steps of the same key that follow each other within a moment are one: a word, not its letters. */
  key: string | undefined;
  at: number;
}

const STEPS_MAX = 500;
const MOMENT_MS = 1_500;

export class History<T> {
  readonly #done: Step<T>[] = [];
  readonly #undone: Step<T>[] = [];

  push(label: string, before: T, after: T, key: string | undefined, now: number): void {
    this.#undone.length = 0;
    const last = this.#done.at(-1);
    if (key !== undefined && last?.key === key && now - last.at < MOMENT_MS) {
      this.#done[this.#done.length - 1] = { ...last, after, at: now };
      return;
    }
    this.#done.push({ label, before, after, key, at: now });
    if (this.#done.length > STEPS_MAX) this.#done.shift();
  }

  /** The next step back or forth, without taking it. */
  next(back: boolean): Step<T> | undefined {
    return (back ? this.#done : this.#undone).at(-1);
  }

  take(back: boolean): Step<T> | undefined {
    const [from, to] = back ? [this.#done, this.#undone] : [this.#undone, this.#done];
    const step = from.pop();
    if (step) to.push({ ...step, key: undefined });
    return step;
  }

  clear(): void {
    this.#done.length = 0;
    this.#undone.length = 0;
  }
}
