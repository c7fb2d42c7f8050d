/**
 * JSON as it was sent. A number of JavaScript holds some 15 digits; an order id may have 19. What would be rounded is kept as its text.
 */
export class Exact {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }

  /** Written as it was read, where the browser can do that. */
  toJSON(): unknown {
    const raw = (JSON as { rawJSON?: (text: string) => unknown }).rawJSON;
    return raw ? raw(this.text) : Number(this.text);
  }
}

export type Json = null | boolean | number | string | Exact | Json[] | { [key: string]: Json };

/** Longer texts are parsed by the browser alone: keeping numbers takes ten times as long. */
export const EXACT_MAX = 4_000_000;
const MAY_BE_ROUNDED = /\d{16}|\d\.\d{15}|[eE][+-]?\d{3}/;

/** Whether numbers of a text are shown rounded, because it is so long. */
export const isRounded = (text: string): boolean => text.length > EXACT_MAX && MAY_BE_ROUNDED.test(text);

/** @throws SyntaxError when the text is no JSON. */
export function parseExactly(text: string): Json {
  if (text.length > EXACT_MAX || !MAY_BE_ROUNDED.test(text)) return JSON.parse(text) as Json;
  try {
    return JSON.parse(text, keep as (key: string, value: unknown) => unknown) as Json;
  } catch (error) {
    if (error instanceof RangeError) return JSON.parse(text) as Json; // nested too deeply to look at each value
    throw error;
  }
}

function keep(_: string, value: unknown, context?: { source?: string }): unknown {
  const source = context?.source;
  if (typeof value !== 'number' || source === undefined || digits(source) === digits(String(value))) return value;
  return new Exact(source);
}

/** The same for numbers that are the same, however they are written: `1.50` and `15e-1` are. */
function digits(text: string): string {
  const [mantissa = '', exponent = '0'] = text.toLowerCase().replace(/^[-+]/, '').split('e');
  const [whole = '', part = ''] = mantissa.split('.');
  const all = (whole + part).replace(/^0+/, '');
  const trimmed = all.replace(/0+$/, '');
  return trimmed ? `${trimmed}e${Number(exponent) - part.length + (all.length - trimmed.length)}` : '0';
}

/** As indented JSON text; of what is nested too deeply for that, as much as one can say. */
export function written(value: Json): string {
  try {
    return JSON.stringify(value, null, 2);
  } catch (error) {
    if (error instanceof RangeError) return '(nested too deeply to be written; copy what is inside)';
    throw error;
  }
}
