const LOOK_MS = 2000;

/** Whether the server answers. Told by every call; when none is answered, it is looked for until it is back. */
class Connection {
  online = $state(true);
  /** How often it came back: what could not be read is read again then. */
  returns = $state(0);
  #timer: ReturnType<typeof setTimeout> | undefined;

  answered(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (!this.online) this.returns += 1;
    this.online = true;
  }

  failed(): void {
    this.online = false;
    this.#timer ??= setTimeout(() => void this.#look(), LOOK_MS);
  }

  async #look(): Promise<void> {
    this.#timer = undefined;
    try {
      await fetch('/api/v1/session', { credentials: 'same-origin' }); // whatever it says, it answers
      this.answered();
    } catch {
      this.failed();
    }
  }
}

export const connection = new Connection();
