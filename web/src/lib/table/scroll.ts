/**
 * Where rows stand in a list that may be longer than a browser lets an element be.
 *
 * Browsers cap heights (Firefox near 17.8, Chromium near 33.5 million pixels). Beyond `MOST` the element is shorter
 * than the list: a wheel or a key moves the list by as many pixels as the element, while a dragged scroll bar moves it
 * in proportion; when scrolling rests, the element is put back to where the bar belongs, which nobody sees.
 */

export const MOST = 12_000_000;

/** A step of the element longer than this many windows was a jump: the bar was dragged. */
const JUMP = 3;

export class Scale {
  /** Height of the whole list. */
  full = 0;
  /** Height of the window onto it. */
  view = 0;
  /** Where the window is in the list. */
  top = 0;
  /** Where the element was scrolled to when it was last looked at. */
  #at = 0;

  /** Height that the element has. */
  get physical(): number {
    return Math.min(this.full, MOST);
  }

  get isScaled(): boolean {
    return this.full > MOST;
  }

  get #most(): number {
    return Math.max(0, this.full - this.view);
  }

  get #physicalMost(): number {
    return Math.max(0, this.physical - this.view);
  }

  /** The list or the window has another height. */
  resize(full: number, view: number): void {
    this.full = full;
    this.view = view;
    this.top = Math.min(this.top, this.#most);
  }

  /** The element was scrolled to `at`. */
  scrolled(at: number): void {
    const step = at - this.#at;
    this.#at = at;
    if (!this.isScaled) this.top = Math.min(at, this.#most);
    else if (at <= 0) this.top = 0;
    else if (at >= this.#physicalMost - 1) this.top = this.#most;
    else if (Math.abs(step) < JUMP * this.view) this.top = Math.min(this.#most, Math.max(0, this.top + step));
    else this.top = (at / this.#physicalMost) * this.#most;
  }

  /** Where the element belongs for what is shown. */
  get at(): number {
    if (!this.isScaled) return this.top;
    return (this.top / this.#most) * this.#physicalMost;
  }

  /** The element was put to where it belongs, and says where that is after rounding. */
  put(at: number): void {
    this.#at = at;
  }

  /** Whether the element is so near its end that the list could not be scrolled to its own any more. */
  get isUrgent(): boolean {
    if (!this.isScaled) return false;
    const near = 4 * this.view;
    const isNear = this.#at < near || this.#at > this.#physicalMost - near;
    return isNear && Math.abs(this.at - this.#at) > this.view;
  }

  /** Moves the window so that a row is in it. */
  reveal(row: number, height: number): void {
    const above = row * height;
    if (above < this.top) this.top = above;
    else if (above + height > this.top + this.view) this.top = Math.min(this.#most, above + height - this.view);
  }
}
