/** What the forms need of JSON Schema: the part the engine's own schema of definitions uses. Pure. */
export interface Schema {
  type?: string | string[];
  properties?: Record<string, Schema | boolean>;
  required?: string[];
  items?: Schema;
  enum?: string[];
  default?: unknown;
  description?: string;
  minimum?: number;
  exclusiveMinimum?: number;
  maximum?: number;
  minLength?: number;
  maxLength?: number;
  pattern?: string;
  maxProperties?: number;
  additionalProperties?: boolean | Schema;
  allOf?: { if: Schema; then: Schema }[];
  const?: unknown;
  $ref?: string;
  $defs?: Record<string, Schema>;
}

/** How a value is edited. `expression` is JMESPath, `template` any JSON with {{ }} in its strings, `text` a template that is text. */
export type Kind =
  | 'expression'
  | 'template'
  | 'text'
  | 'plain'
  | 'number'
  | 'switch'
  | 'choice'
  | 'list'
  | 'map'
  | 'group'
  | 'list-of-groups';

/** Which strings are JMESPath; every other one may hold {{ }}, but those below. */
const EXPRESSIONS = new Set([
  'transform.expression',
  'loop.items',
  'http_call.success',
  'branch.conditions.when',
  'settings.concurrency.key',
  'settings.rate.key'
]);
/** Which strings are taken as they are. */
const PLAIN = new Set([
  'wait_event.event',
  'sub_workflow.workflow',
  'branch.default',
  'branch.conditions.port',
  'http_call.auth.name'
]);
/** Made elsewhere: the body of a loop is drawn. */
export const NOT_IN_FORMS = new Set(['loop.body']);

export function kindOf(schema: Schema, place: string): Kind {
  if (schema.enum) return 'choice';
  const types = [schema.type ?? []].flat();
  if (types.length === 0) return 'template';
  if (types.includes('object')) return schema.properties || schema.allOf ? 'group' : 'map';
  if (types.includes('array')) return schema.items?.type === 'object' ? 'list-of-groups' : 'list';
  if (types.includes('boolean')) return 'switch';
  if (types.includes('string')) return EXPRESSIONS.has(place) ? 'expression' : PLAIN.has(place) ? 'plain' : 'text';
  return 'number';
}

export interface FieldOf {
  name: string;
  schema: Schema;
  required: boolean;
}

/** The fields of an object: those of its schema, and of what its other values ask for besides (`allOf` with `if`). */
export function fieldsOf(schema: Schema, value: Record<string, unknown>): FieldOf[] {
  const found = new Map<string, FieldOf>();
  const take = (part: Schema): void => {
    for (const [name, field] of Object.entries(part.properties ?? {})) {
      if (typeof field === 'boolean') continue;
      if ('const' in field) continue;
      found.set(name, { name, schema: field, required: part.required?.includes(name) ?? false });
    }
  };
  take(schema);
  for (const { if: when, then } of schema.allOf ?? []) if (holds(when, value)) take(then);
  return [...found.values()];
}

function holds(when: Schema, value: Record<string, unknown>): boolean {
  return Object.entries(when.properties ?? {}).every(([name, field]) => {
    if (typeof field === 'boolean') return true;
    if ('const' in field) return value[name] === field.const;
    return field.enum ? field.enum.includes(value[name] as string) : true;
  });
}

/** The schema of a node type's config. */
export const configOf = (root: Schema, type: string): Schema | undefined => root.$defs?.[type];

/** `backoff_max_s` is "Backoff max, in s". */
export function labelOf(name: string): string {
  const units: Record<string, string> = { s: 'seconds', bytes: 'bytes' };
  const words = name.split('_');
  const unit = words.length > 1 ? units[words.at(-1) ?? ''] : undefined;
  const told = (unit ? words.slice(0, -1) : words).join(' ');
  return `${told.charAt(0).toUpperCase()}${told.slice(1)}${unit ? ` (${unit})` : ''}`;
}

/** An object with a member changed, or without it when `value` is undefined. Nothing is changed in place. */
export function withMember(object: Record<string, unknown>, name: string, value: unknown): Record<string, unknown> {
  if (value !== undefined) return { ...object, [name]: value };
  const { [name]: _, ...rest } = object;
  return rest;
}
