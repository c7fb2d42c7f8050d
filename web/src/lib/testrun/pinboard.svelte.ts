import type { Pin, PinMap } from './pins';

/** What nodes of a workflow are pinned to, kept as long as the tab is. */
export class Pinboard {
  pins = $state.raw<PinMap>({});
  readonly #key: string;

  constructor(workflow: string) {
    this.#key = `meshhook.pins.${workflow}`;
    try {
      this.pins = JSON.parse(sessionStorage.getItem(this.#key) ?? '{}') as PinMap;
    } catch {
      // What can't be read is not there.
    }
  }

  set(address: string, pin: Pin): void {
    this.#keep({ ...this.pins, [address]: pin });
  }

  remove(address: string): void {
    this.#keep(Object.fromEntries(Object.entries(this.pins).filter(([pinned]) => pinned !== address)));
  }

  clear(): void {
    this.#keep({});
  }

  #keep(pins: PinMap): void {
    this.pins = pins;
    try {
      sessionStorage.setItem(this.#key, JSON.stringify(pins));
    } catch {
      // Larger than the browser keeps: they last until the page is left.
    }
  }
}
