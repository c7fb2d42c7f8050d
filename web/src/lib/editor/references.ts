/**
 * Where expressions name a node, so that renaming it can follow: `steps.<id>` everywhere, and `input.<id>` where several paths meet.
 *
 * JMESPath is only split into tokens here (https://jmespath.org/specification.html#grammar); whether it is right is for the engine to
 * say. A name counts only where it is looked up in what every expression sees: not in `items[?steps.a]` or `x.{a: steps.b}`, where
 * it is a member of something else.
 */
import { isObject } from '$lib/flow/definition';

/** A member of a member … to be called otherwise: `['steps', 'old']`. */
export type Path = readonly string[];

const TOKEN = /'(?:[^'\\]|\\.)*'|`(?:[^`\\]|\\.)*`|"(?:[^"\\]|\\.)*"|[A-Za-z_]\w*|\s+|\|\||&&|[=!<>]=|\[\?|[^]/gy;
const NAME = /^["A-Za-z_]/;
/** Fields that are an expression as they stand; all other texts of a config are templates. */
const EXPRESSIONS: Readonly<Record<string, readonly string[]>> = {
  transform: ['expression'],
  branch: ['conditions.when'],
  loop: ['items'],
  http_call: ['success']
};

interface Frame {
  /** Whether names are looked up in what every expression sees, at its begin and now. */
  begin: boolean;
  now: boolean;
}

/** An expression with the last name of each of these paths replaced. What is no expression comes back as it is. */
export function renameInExpression(source: string, paths: readonly Path[], name: string): string {
  let text = '';
  const frames: Frame[] = [{ begin: true, now: true }];
  let last = ''; // the last token that is no blank
  let path: string[] | undefined; // names so far, when they are looked up from the start
  for (const [token] of source.matchAll(TOKEN)) {
    if (/^\s/.test(token)) {
      text += token;
      continue;
    }
    if (NAME.test(token)) {
      const called = nameOf(token);
      path = last === '.' ? path && [...path, called] : frames.at(-1)!.now ? [called] : undefined;
      const hit =
        path && paths.some((one) => one.length === path!.length && one.every((part, at) => part === path![at]));
      text += hit ? name : token;
    } else {
      follow(token, last, frames);
      if (token !== '.') path = undefined;
      text += token;
    }
    last = token;
  }
  return text;
}

function nameOf(token: string): string {
  if (!token.startsWith('"')) return token;
  try {
    return String(JSON.parse(token));
  } catch {
    return token;
  }
}

function follow(token: string, last: string, frames: Frame[]): void {
  const frame = frames.at(-1)!;
  const push = (now: boolean): void => void frames.push({ begin: now, now });
  if (token === '[?') push(false);
  else if (token === '[' || token === '{') push(frame.now && last !== '.');
  else if (token === '(') push(frame.now);
  else if (']})'.includes(token)) {
    if (frames.length > 1) frames.pop();
  } else if (token === '|' || token === '&') frame.now = false;
  else if (token === ',') frame.now = frame.begin;
}

/** A text with `{{ }}`: each expression in it. */
export function renameInTemplate(text: string, paths: readonly Path[], name: string): string {
  let made = '';
  let at = 0;
  for (;;) {
    const open = text.indexOf('{{', at);
    const close = open < 0 ? -1 : closing(text, open + 2);
    if (close < 0) return made + text.slice(at);
    made += text.slice(at, open + 2) + renameInExpression(text.slice(open + 2, close), paths, name);
    at = close;
  }
}

/** Where the `}}` of a placeholder stands: the first that is not inside of quotes or brackets of its expression. */
function closing(text: string, from: number): number {
  let depth = 0;
  TOKEN.lastIndex = 0;
  for (const match of text.slice(from).matchAll(TOKEN)) {
    const [token] = match;
    if (token === '{') depth++;
    else if (token === '}') {
      if (depth === 0) return text[from + match.index + 1] === '}' ? from + match.index : -1;
      depth--;
    }
  }
  return -1;
}

/** The config of a node with every expression in it renamed. The body of a loop has nodes of its own, and is left as it is. */
export function renameInConfig(
  type: string,
  config: Readonly<Record<string, unknown>>,
  paths: readonly Path[],
  name: string
): Readonly<Record<string, unknown>> {
  const expressions = EXPRESSIONS[type] ?? [];
  const change = (value: unknown, field: string): unknown => {
    if (typeof value === 'string') {
      return expressions.includes(field)
        ? renameInExpression(value, paths, name)
        : renameInTemplate(value, paths, name);
    }
    if (Array.isArray(value))
      return keep(
        value,
        value.map((each) => change(each, field))
      );
    if (!isObject(value)) return value;
    const entries = Object.entries(value).map(
      ([key, each]) => [key, change(each, field ? `${field}.${key}` : key)] as const
    );
    return entries.some(([key, each]) => each !== value[key]) ? Object.fromEntries(entries) : value;
  };
  const { body, ...rest } = config;
  const changed = change(type === 'loop' ? rest : config, '') as Record<string, unknown>;
  if (type !== 'loop') return changed;
  return changed === rest ? config : { ...changed, body };
}

const keep = (before: unknown[], after: unknown[]): unknown[] =>
  after.some((each, at) => each !== before[at]) ? after : before;
