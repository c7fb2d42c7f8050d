/** Now, in ms, a second at a time: for what says how long something lasts. Stands still while nobody looks. */
import { createSubscriber } from 'svelte/reactivity';

const subscribe = createSubscriber((update) => {
  const timer = setInterval(() => document.hidden || update(), 1000);
  return () => clearInterval(timer);
});

export const clock = {
  get now(): number {
    subscribe();
    return Date.now();
  }
};
