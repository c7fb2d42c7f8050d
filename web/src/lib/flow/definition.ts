/** A workflow definition as the pages handle it: never changed in place, so what is the same object is the same. */

export const TRIGGER = 'trigger';
export const DEFAULT_PORT = 'out';
export const ERROR_PORT = 'error';
export const NODES_MAX = 1_000;
export const LOOPS_DEEP_MAX = 4;

export interface NodeDoc {
  readonly id: string;
  readonly type: string;
  readonly name?: string;
  readonly config?: Readonly<Record<string, unknown>>;
  readonly timeout_s?: number;
  readonly on_error?: string;
  readonly position?: { readonly x: number; readonly y: number };
}

export interface EdgeDoc {
  readonly from: string;
  readonly port?: string;
  readonly to: string;
}

/** A definition, or the body of a loop. */
export interface Graph {
  readonly nodes: readonly NodeDoc[];
  readonly edges: readonly EdgeDoc[];
}

export interface Definition extends Graph {
  readonly description?: string;
  readonly settings?: Readonly<Record<string, unknown>>;
}

export const EMPTY: Graph = { nodes: [], edges: [] };

const ID = /^[A-Za-z_][A-Za-z0-9_]{0,63}$/;
const DEPTH_MAX = 6; // of loops that are drawn: the server allows 4, and each level costs several times the one above

/** Whether a node may have this id, the trigger's being taken. */
export const isId = (text: unknown): text is string => typeof text === 'string' && ID.test(text) && text !== TRIGGER;

export const portOf = (edge: EdgeDoc): string => edge.port ?? DEFAULT_PORT;

export const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** The body of a loop; empty where there is none yet. */
export function bodyOf(node: NodeDoc): Graph {
  const body = node.config?.body;
  return isObject(body) ? { nodes: [], edges: [], ...(body as Partial<Graph>) } : EMPTY;
}

/** An unfinished draft is any JSON object. This is it as a definition that can be drawn, or the reason why it can't. */
export type Read = { definition: Definition; reason?: undefined } | { definition?: undefined; reason: string };

export function readDefinition(document: unknown): Read {
  if (!isObject(document)) return { reason: 'A definition is a JSON object with nodes and edges.' };
  const reason = whyNotDrawn(document, '', 0);
  return reason === undefined ? { definition: { nodes: [], edges: [], ...document } as Definition } : { reason };
}

function whyNotDrawn(graph: Record<string, unknown>, where: string, depth: number): string | undefined {
  const { nodes = [], edges = [] } = graph;
  if (depth > DEPTH_MAX) return `Loops stand in each other more than ${DEPTH_MAX} deep.`;
  if (!Array.isArray(nodes) || !Array.isArray(edges)) return `nodes and edges${where} must be lists.`;
  const seen = new Set<string>();
  for (const [at, node] of nodes.entries()) {
    if (!isObject(node)) return `Node ${at}${where} is no object.`;
    const { id, type, config } = node;
    if (!isId(id)) {
      return `Node ${at}${where} has no id that is allowed: letters, digits and _, not a digit first, at most 64, and not “${TRIGGER}”.`;
    }
    if (seen.has(id)) return `Two nodes${where} have the id “${id}”.`;
    if (typeof type !== 'string') return `Node “${id}”${where} has no type.`;
    if (config !== undefined && !isObject(config)) return `The config of “${id}”${where} is no object.`;
    seen.add(id);
    const body = type === 'loop' ? config?.body : undefined;
    if (body !== undefined && !isObject(body)) return `The body of “${id}”${where} is no object.`;
    const below = body && whyNotDrawn(body, ` in the loop “${id}”`, depth + 1);
    if (below) return below;
  }
  for (const [at, edge] of edges.entries()) {
    if (!isObject(edge) || typeof edge.from !== 'string' || typeof edge.to !== 'string') {
      return `Edge ${at}${where} does not say from where to where.`;
    }
    if (edge.port !== undefined && typeof edge.port !== 'string') return `The port of edge ${at}${where} is no text.`;
  }
  return undefined;
}
