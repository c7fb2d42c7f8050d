import { isTrigger, nodeAt, scopeOf } from '$lib/flow/address';
import type { Definition, NodeDoc } from '$lib/flow/definition';
import type { Places, Point } from '$lib/flow/drawing';
import { titleOf } from '$lib/flow/kinds';
import * as commands from './commands';
import type { Clip } from './commands';
import { History } from './history';
import { refusalOf, type Connection } from './rules';

interface Snapshot {
  definition: Definition;
  selection: ReadonlySet<string>;
}

/**
 * The definition that is being edited, what of it is chosen, and the way back. All changes go through its commands: each is one step to
 * undo. `definition` is never changed in place, so `$derived` of it is enough, and equal parts are the same objects.
 *
 * Nodes are named by their address (see `lib/flow/address`), lines by their id (`lineId`).
 */
export class EditorDocument {
  #definition = $state.raw<Definition>({ nodes: [], edges: [] });
  #selection = $state.raw<ReadonlySet<string>>(new Set());
  #revision = $state(0);
  /** What was done last, for those who do not see it. */
  news = $state('');
  readonly #history = new History<Snapshot>();
  readonly #now: () => number;

  constructor(definition?: Definition, now: () => number = () => performance.now()) {
    if (definition) this.#definition = definition;
    this.#now = now;
  }

  get definition(): Definition {
    return this.#definition;
  }

  /** Grows with every change, also those of undo. */
  get revision(): number {
    return this.#revision;
  }

  /** Addresses of nodes and ids of lines. */
  get selection(): ReadonlySet<string> {
    return this.#selection;
  }

  /** The address of the one chosen node; none when several are. */
  readonly address: string | undefined = $derived.by(() => {
    const nodes = this.chosenNodes;
    return nodes.length === 1 ? nodes[0] : undefined;
  });

  readonly node: NodeDoc | undefined = $derived(
    this.address === undefined ? undefined : nodeAt(this.#definition, this.address)
  );

  /** Addresses of all chosen nodes. */
  readonly chosenNodes: string[] = $derived.by(() =>
    [...this.#selection].filter((item) => !item.includes(':') && !isTrigger(item) && nodeAt(this.#definition, item))
  );

  /** What undo and redo would do, in words; nothing when there is nothing. */
  readonly undoes: string | undefined = $derived.by(() => (void this.#revision, this.#history.next(true)?.label));
  readonly redoes: string | undefined = $derived.by(() => (void this.#revision, this.#history.next(false)?.label));

  select(items: Iterable<string>): void {
    const next = new Set(items);
    const same = next.size === this.#selection.size && [...next].every((item) => this.#selection.has(item));
    if (!same) this.#selection = next;
  }

  selectAll(): void {
    const scope = this.address === undefined ? '' : scopeOf(this.address);
    const prefix = scope ? `${scope}/` : '';
    const graph = scope ? nodeAt(this.#definition, scope) : undefined;
    const nodes = graph ? (graph.config?.body as Definition).nodes : this.#definition.nodes;
    this.select(nodes.map((node) => prefix + node.id));
  }

  /** A new node, chosen. See `commands.add`. */
  add(type: string, where: Parameters<typeof commands.add>[2] = {}): string {
    const { definition, address } = commands.add(this.#definition, type, where);
    this.#do(`Add ${titleOf(type)}`, definition, [address]);
    return address;
  }

  /** Takes away these nodes and lines, by default those that are chosen. */
  remove(items: ReadonlySet<string> = this.#selection): void {
    const definition = commands.remove(this.#definition, items);
    if (definition !== this.#definition)
      this.#do(items.size === 1 ? 'Delete' : `Delete ${items.size} things`, definition, []);
  }

  /** Why a connection can't be made; nothing when it can. */
  refusal(connection: Connection): string | undefined {
    return refusalOf(this.#definition, connection);
  }

  /** Connects; a reason when that can't be. */
  connect(connection: Connection): string | undefined {
    const reason = this.refusal(connection);
    if (reason) return reason;
    this.#do('Connect', commands.connect(this.#definition, connection));
    return undefined;
  }

  /** Another id for a node; a reason when it can't have it. Edges and expressions follow. */
  rename(address: string, id: string): string | undefined {
    const reason = commands.renameRefusal(this.#definition, address, id);
    if (reason) return reason;
    const { definition, address: renamed } = commands.rename(this.#definition, address, id);
    if (renamed !== address) this.#do(`Rename to ${id}`, definition, [renamed]);
    return undefined;
  }

  move(places: Places, key?: string): void {
    if (Object.keys(places).length) this.#do('Move', commands.move(this.#definition, places), undefined, key);
  }

  /** All nodes put where a layout says. */
  arrange(places: Places): void {
    this.#do('Lay out', commands.arranged(this.#definition, places));
  }

  /** The whole config of a node. `key` makes one step of what is typed into one field. */
  setConfig(address: string, config: NodeDoc['config'], key?: string): void {
    this.setNode(address, { config }, key);
  }

  /** Members of a node, `undefined` to take one away: `name`, `config`, `timeout_s`, `on_error`. */
  setNode(address: string, members: Parameters<typeof commands.setNode>[2], key?: string): void {
    const merged = key === undefined ? undefined : `${address} ${key}`;
    this.#do(`Change ${address}`, commands.setNode(this.#definition, address, members), undefined, merged);
  }

  /** `description` and `settings` of the definition. */
  setMembers(members: Parameters<typeof commands.setMembers>[1], key?: string): void {
    this.#do('Change the settings', commands.setMembers(this.#definition, members), undefined, key && `. ${key}`);
  }

  copy(): Clip | undefined {
    return commands.copy(this.#definition, this.#selection);
  }

  paste(clip: Clip, scope = '', at?: Point, label = 'Paste'): void {
    const { definition, addresses } = commands.paste(this.#definition, clip, scope, at);
    this.#do(label, definition, addresses);
  }

  duplicate(): void {
    const clip = this.copy();
    const first = this.chosenNodes[0];
    if (clip && first !== undefined) this.paste(clip, scopeOf(first), undefined, 'Duplicate');
  }

  /** Another definition in place of this one, which can be undone: an import, an older version, that of another tab. */
  replace(definition: Definition, label: string): void {
    this.#do(label, definition, []);
  }

  /** Begins with a definition, without a way back. */
  open(definition: Definition): void {
    this.#history.clear();
    this.#definition = definition;
    this.#selection = new Set();
    this.#revision++;
  }

  undo(): void {
    const step = this.#history.take(true);
    if (step) this.#show(step.before, `Undone: ${step.label}`);
  }

  redo(): void {
    const step = this.#history.take(false);
    if (step) this.#show(step.after, `Done again: ${step.label}`);
  }

  #do(label: string, definition: Definition, selection?: Iterable<string>, key?: string): void {
    if (definition === this.#definition) return;
    const before = { definition: this.#definition, selection: this.#selection };
    const after = { definition, selection: selection ? new Set(selection) : this.#selection };
    this.#history.push(label, before, after, key, this.#now());
    this.#show(after, key === undefined ? label : '');
  }

  #show({ definition, selection }: Snapshot, news: string): void {
    this.#definition = definition;
    this.#selection = selection;
    this.#revision++;
    this.news = news;
  }
}
