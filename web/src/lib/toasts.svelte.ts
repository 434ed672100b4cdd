/** Short words at the edge of the page about what was done, some with a way back. */

export interface Toast {
  id: number;
  text: string;
  /** What else can be done about it, such as undoing it. */
  action?: { text: string; run: () => void };
}

const SHORT = 5000;
/** One with a button has to be reached in time, also by keyboard. */
const LONG = 30_000;

class Toasts {
  all = $state.raw<readonly Toast[]>([]);
  #next = 1;

  /** Says something for a moment; the latest three are kept. */
  say(text: string, action?: Toast["action"]): void {
    const toast: Toast = { id: this.#next, text, ...(action === undefined ? {} : { action }) };
    this.#next += 1;
    this.all = [...this.all.slice(-2), toast];
    setTimeout(() => this.drop(toast.id), action === undefined ? SHORT : LONG);
  }

  drop(id: number): void {
    this.all = this.all.filter((toast) => toast.id !== id);
  }
}

export const toasts = new Toasts();
