import { isObject } from '$lib/flow/definition';

const TEXT_MAX = 2_000;

/** The error of a step or a run in words; nothing when there is none. */
export function errorText(error: unknown): string | undefined {
  if (error === null || error === undefined) return undefined;
  if (typeof error === 'string') return error.slice(0, TEXT_MAX);
  if (isObject(error) && typeof error.reason === 'string') return error.reason.slice(0, TEXT_MAX);
  return JSON.stringify(error).slice(0, TEXT_MAX);
}
