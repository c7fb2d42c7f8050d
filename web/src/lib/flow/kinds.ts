/** What people see of each type of node: its name, what it is for, a drawing, what it starts with, and one line about its config. */
import { bodyOf, DEFAULT_PORT, ERROR_PORT, isObject, type NodeDoc } from './definition';

export type Tone = 'data' | 'logic' | 'outside' | 'time' | 'end';

export interface Kind {
  title: string;
  /** What it is for, in one sentence. */
  about: string;
  /** Other words people look for it by. */
  words: string;
  tone: Tone;
  /** The config a new one gets. */
  fresh: Readonly<Record<string, unknown>>;
}

export const KINDS: Readonly<Record<string, Kind>> = {
  http_call: {
    title: 'HTTP call',
    about: 'Calls an API or a website, with retries.',
    words: 'request webhook rest api fetch curl post get',
    tone: 'outside',
    fresh: { method: 'GET', url: 'https://example.com/' }
  },
  transform: {
    title: 'Transform',
    about: 'Makes new data of the data that comes in.',
    words: 'map set expression template jmespath json edit fields',
    tone: 'data',
    fresh: { expression: 'input' }
  },
  branch: {
    title: 'Branch',
    about: 'Goes the way of the first condition that is true.',
    words: 'if switch condition else router filter',
    tone: 'logic',
    fresh: { conditions: [{ port: 'yes', when: 'input' }], default: 'no' }
  },
  join: {
    title: 'Join',
    about: 'Brings paths together: waits for all of them, or for the first.',
    words: 'merge wait all any',
    tone: 'logic',
    fresh: { mode: 'all' }
  },
  loop: {
    title: 'Loop',
    about: 'Does its body once for each item of a list.',
    words: 'for each map items batch fan-out',
    tone: 'logic',
    fresh: { items: 'input', body: { nodes: [], edges: [] } }
  },
  sub_workflow: {
    title: 'Sub-workflow',
    about: 'Starts a run of another workflow.',
    words: 'call child execute workflow',
    tone: 'outside',
    fresh: { workflow: '' }
  },
  delay: {
    title: 'Delay',
    about: 'Waits for a time, or until a moment.',
    words: 'sleep pause timer until',
    tone: 'time',
    fresh: { seconds: 60 }
  },
  wait_event: {
    title: 'Wait for event',
    about: 'Waits until an event of a name and key arrives, such as an approval.',
    words: 'approval signal human callback timeout',
    tone: 'time',
    fresh: { event: 'approved' }
  },
  xml_json: {
    title: 'XML and feeds',
    about: 'Makes data of XML, RSS or Atom, or XML of data.',
    words: 'rss atom parse convert soap',
    tone: 'data',
    fresh: { to: 'json' }
  },
  respond: {
    title: 'Respond',
    about: 'Answers the caller who waits at a sync endpoint.',
    words: 'response reply answer status',
    tone: 'outside',
    fresh: { status: 200 }
  },
  terminate: {
    title: 'Terminate',
    about: 'Ends the whole run at once, completed or failed.',
    words: 'stop end fail error exit',
    tone: 'end',
    fresh: { status: 'completed' }
  }
};

export const titleOf = (type: string): string => KINDS[type]?.title ?? type;

/** The ports edges may leave by, in the order they are drawn. What is not well formed yet has none. */
export function portsOf(node: NodeDoc): string[] {
  const config = node.config ?? {};
  const ports = ((): string[] => {
    switch (node.type) {
      case 'branch': {
        const conditions = Array.isArray(config.conditions) ? config.conditions : [];
        const named: unknown[] = conditions.map((condition: unknown) => isObject(condition) && condition.port);
        return [...named, config.default ?? 'default'].filter((port): port is string => typeof port === 'string');
      }
      case 'wait_event':
        return [DEFAULT_PORT, 'timeout'];
      case 'terminate':
        return [];
      default:
        return [DEFAULT_PORT];
    }
  })();
  return [...new Set(node.on_error === 'port' ? [...ports, ERROR_PORT] : ports)];
}

const LINE_MAX = 120; // more is never seen, and a hostile text must not be laid out whole

const line = (value: unknown): string => {
  const text = typeof value === 'string' ? value : value === undefined ? '' : JSON.stringify(value);
  return text
    .slice(0, LINE_MAX * 2)
    .replaceAll(/\s+/g, ' ')
    .slice(0, LINE_MAX);
};

/** What a node does, in one line made of its config. */
export function summaryOf(node: NodeDoc): string {
  const config = node.config ?? {};
  switch (node.type) {
    case 'http_call':
      return `${line(config.method) || 'GET'} ${line(config.url).replace(/^https?:\/\//, '')}`.trim();
    case 'transform':
      return 'expression' in config ? line(config.expression) : line(short(config.template));
    case 'branch': {
      const ways = portsOf({ ...node, on_error: undefined }).length;
      const [first]: unknown[] = Array.isArray(config.conditions) ? config.conditions : [];
      return ways > 2 || !isObject(first) ? `${ways} ways` : `if ${line(first.when)}`;
    }
    case 'join':
      return config.mode === 'any' ? 'the first path' : 'all paths';
    case 'loop': {
      const steps = bodyOf(node).nodes.length;
      return `each of ${line(config.items)}${steps === 0 ? ' · empty' : ''}`;
    }
    case 'sub_workflow':
      return line(config.workflow) || 'no workflow chosen';
    case 'delay':
      if ('until' in config) return `until ${line(config.until)}`;
      return typeof config.seconds === 'number' ? span(config.seconds) : line(config.seconds);
    case 'wait_event':
      return line(config.event) + (config.key ? ` · ${line(config.key)}` : '');
    case 'xml_json':
      return { json: 'XML to data', xml: 'data to XML', feed: 'feed to data' }[String(config.to)] ?? '';
    case 'respond':
      return `status ${line(config.status ?? 200)}`;
    case 'terminate':
      return config.status === 'failed' ? `failed${config.reason ? `: ${line(config.reason)}` : ''}` : 'completed';
    default:
      return '';
  }
}

/** The names of what a template makes; anything else as it is. */
function short(template: unknown): unknown {
  return isObject(template) ? `{ ${Object.keys(template).slice(0, 8).join(', ')} }` : template;
}

/** Seconds as people say them. */
function span(seconds: number): string {
  for (const [unit, size] of [
    ['d', 86_400],
    ['h', 3_600],
    ['min', 60]
  ] as const) {
    if (seconds >= size && seconds % size === 0) return `${seconds / size} ${unit}`;
  }
  return `${seconds} s`;
}
