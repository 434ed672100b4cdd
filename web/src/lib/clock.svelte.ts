/** The time, once a second, for what counts down on the screen. */
import { createSubscriber } from "svelte/reactivity";

const subscribe = createSubscriber((update) => {
  const timer = setInterval(update, 1000);
  return () => clearInterval(timer);
});

/** Milliseconds since the epoch; whoever shows it is shown anew each second. */
export function now(): number {
  subscribe();
  return Date.now();
}

/** Whole seconds until a moment of {@link now}; 0 when it is over. */
export const secondsUntil = (moment: number): number => Math.max(0, Math.round((moment - now()) / 1000));
