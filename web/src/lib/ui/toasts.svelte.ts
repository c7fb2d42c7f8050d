import { asProblem } from '$lib/api/problem';

/** Short news at the edge of the page: done (with undo where there is one), or what failed. */
export interface Toast {
  id: number;
  text: string;
  tone: 'plain' | 'bad';
  action?: { label: string; run: () => void };
}

let last = 0;

class Toasts {
  items = $state<Toast[]>([]);

  say(text: string, action?: Toast['action']): void {
    this.#add({ id: ++last, text, tone: 'plain', action }, action ? 12_000 : 5_000);
  }

  /** What was thrown stays until it is closed. */
  fail(error: unknown): void {
    const problem = asProblem(error);
    if (problem.needsSignIn) return; // the page to sign in says so
    this.#add({ id: ++last, text: problem.message, tone: 'bad' });
  }

  close(id: number): void {
    this.items = this.items.filter((toast) => toast.id !== id);
  }

  #add(toast: Toast, ms?: number): void {
    this.items = [...this.items.slice(-3), toast];
    if (ms) setTimeout(() => this.close(toast.id), ms);
  }
}

export const toasts = new Toasts();
