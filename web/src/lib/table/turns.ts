/**
 * Rows are painted as many in a frame as a frame has time for; the others wait for the next one. What changes a whole
 * page of rows at once, a jump or a new answer, would else hold up the scrolling for several frames.
 */

/** Rows that are painted in a frame however long it lasts, and however short it is. */
const LEAST = 4;
const MOST = 64;
/** Frames shorter than this leave room for more rows, longer ones have had too many; in milliseconds. */
const SHORT = 20;
const LONG = 25;

export class Turns {
  #waiting = new Map<object, () => void>();
  #most = 6;
  #painted = 0;
  #last: { time: number; painted: number } | undefined;
  #isPlanned = false;

  /**
   * Paints somebody now, or, where it answers with `false`, in one of the next frames. What is urgent, as what keys are
   * pressed at, is painted now in any case.
   */
  paint(who: object, paint: () => void, isUrgent = false): boolean {
    this.#plan();
    if (isUrgent) this.#waiting.delete(who);
    else if (this.#painted >= this.#most || this.#waiting.size > 0) {
      this.#waiting.set(who, paint);
      return false;
    }
    this.#painted += 1;
    paint();
    return true;
  }

  /** Somebody is not there any more. */
  leave(who: object): void {
    this.#waiting.delete(who);
  }

  #plan(): void {
    if (this.#isPlanned) return;
    this.#isPlanned = true;
    requestAnimationFrame((time) => this.#frame(time));
  }

  #frame(time: number): void {
    this.#isPlanned = false;
    if (this.#last !== undefined) this.#learn(time - this.#last.time, this.#last.painted);
    for (const [who, paint] of this.#waiting) {
      if (this.#painted >= this.#most) break;
      this.#waiting.delete(who);
      this.#painted += 1;
      paint();
    }
    const painted = this.#painted;
    this.#painted = 0;
    // One frame more than there is to paint, to see how long that took.
    this.#last = painted > 0 ? { time, painted } : undefined;
    if (painted > 0) this.#plan();
  }

  #learn(lasted: number, painted: number): void {
    if (lasted > LONG && painted >= this.#most / 2) this.#most = Math.max(LEAST, this.#most >> 1);
    else if (lasted < SHORT && painted >= this.#most) this.#most = Math.min(MOST, this.#most + 2);
  }
}

export const turns = new Turns();
