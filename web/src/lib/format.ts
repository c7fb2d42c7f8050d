/** How times, durations and numbers are written, everywhere the same. */

const clock = new Intl.DateTimeFormat(undefined, {
  hour: '2-digit',
  minute: '2-digit',
  second: '2-digit',
  hourCycle: 'h23'
});
const dayClock = new Intl.DateTimeFormat(undefined, {
  month: 'short',
  day: 'numeric',
  hour: '2-digit',
  minute: '2-digit',
  hourCycle: 'h23'
});
const whole = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'long' });
const counts = new Intl.NumberFormat();
const short = new Intl.NumberFormat(undefined, { notation: 'compact', maximumFractionDigits: 1 });

export const count = (number: number): string => counts.format(number);
export const compact = (number: number): string =>
  Math.abs(number) < 10_000 ? counts.format(number) : short.format(number);

/** 14:03:22 today, else Nov 23, 14:03. */
export function time(at: string | Date, now = new Date()): string {
  const moment = new Date(at);
  return moment.toDateString() === now.toDateString() ? clock.format(moment) : dayClock.format(moment);
}

/** With date, seconds and zone: for titles. */
export const exactly = (at: string | Date): string => whole.format(new Date(at));

/** "just now", "12 s ago", "in 3 min". */
export function ago(at: string | Date, now = Date.now()): string {
  const seconds = (now - new Date(at).getTime()) / 1000;
  if (Math.abs(seconds) < 2) return 'just now';
  const told = duration(Math.abs(seconds) * 1000, 1);
  return seconds > 0 ? `${told} ago` : `in ${told}`;
}

const UNITS: [string, number][] = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['min', 60_000],
  ['s', 1000]
];

/** 4.2 ms, 850 ms, 3.4 s, 2 min 5 s, 3 d 4 h: `parts` units at most. */
export function duration(ms: number, parts = 2): string {
  if (ms < 10) return `${ms.toFixed(1)} ms`;
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 10_000 && parts > 1) return `${(ms / 1000).toFixed(1)} s`;
  const told: string[] = [];
  let rest = Math.round(ms / 1000) * 1000;
  for (const [name, size] of UNITS) {
    const number = Math.floor(rest / size);
    if (number === 0) continue;
    told.push(`${number} ${name}`);
    rest -= number * size;
    if (told.length === parts) break;
  }
  return told.join(' ');
}

export function bytes(number: number): string {
  const units = ['B', 'KB', 'MB', 'GB', 'TB'];
  let at = 0;
  while (number >= 1000 && at < units.length - 1) {
    number /= 1000;
    at++;
  }
  return `${number >= 100 || at === 0 ? Math.round(number) : number.toFixed(1)} ${units[at]}`;
}

/** A run id as people compare it: its end, which differs; the beginning is the time. */
export const shortId = (id: string): string => id.slice(-8);
