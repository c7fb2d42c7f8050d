import { describe, expect, it } from 'vitest';
import { Problem } from '$lib/api/problem';
import type { Definition } from '$lib/flow/definition';
import { Draft, type Store } from './draft.svelte';

/** A store as the API has it: a tag for each text, 412 for the wrong one. Waits are kept, and end when the test says so. */
function shared() {
  const now = { draft: { nodes: [{ id: 'a', type: 'join' }], edges: [] } as unknown, etag: '1', gone: false };
  let fault: Problem | undefined;
  const saves: Definition[] = [];
  const store: Store = {
    load: () => {
      if (now.gone)
        return Promise.reject(new Problem({ title: 'None', status: 404, type: '/problems/unknown-workflow' }));
      return Promise.resolve({
        draft: now.draft,
        etag: now.etag,
        published: null,
        changed: true,
        saved_by: 'ann',
        updated_at: '2027-01-01T00:00:00Z'
      });
    },
    save: (definition, etag) => {
      if (fault) return Promise.reject(fault);
      if (etag !== undefined && etag !== now.etag)
        return Promise.reject(new Problem({ title: 'Changed', status: 412, type: '/problems/draft-changed' }));
      saves.push(definition);
      Object.assign(now, { draft: definition, etag: String(Number(now.etag) + 1) });
      return Promise.resolve({
        etag: now.etag,
        errors: [{ path: '$.nodes[0]', code: 'x', message: 'A fault' }],
        warnings: []
      });
    },
    judge: () => Promise.resolve({ errors: [], warnings: [] })
  };
  return { store, now, saves, fails: (problem?: Problem) => (fault = problem) };
}

async function opened(store: Store) {
  const waits: { ms: number; act: () => void }[] = [];
  const draft = new Draft(store, (ms, act) => waits.push({ ms, act }));
  await draft.open();
  const change = (id: string) => {
    draft.document.add(id, { at: { x: 0, y: 0 } });
    draft.changed();
  };
  return { draft, waits, change };
}

describe('a draft', () => {
  it('is saved a moment after the last of several changes, once', async () => {
    const { store, saves } = shared();
    const { draft, waits, change } = await opened(store);
    change('delay');
    change('join');
    expect(draft.saving).toBe('changed');
    expect(saves).toHaveLength(0);
    for (const { act } of waits) act();
    await draft.flush();
    expect(draft.saving).toBe('saved');
    expect(saves).toEqual([draft.document.definition]);
    expect(draft.faults).toMatchObject([{ address: 'a', severity: 'error' }]);
    expect(draft.marks.a).toMatchObject({ errors: 1 });
  });

  it('that is only looked at is not saved, even when its nodes were given places', async () => {
    const { store, saves } = shared();
    const draft = new Draft(store);
    await draft.open((definition) =>
      Promise.resolve({ ...definition, nodes: definition.nodes.map((node) => ({ ...node, position: { x: 1, y: 1 } })) })
    );
    draft.changed();
    expect(await draft.flush()).toBe(true);
    expect(saves).toHaveLength(0);
  });

  it('undone to what is saved is saved', async () => {
    const { store, saves } = shared();
    const { draft, change } = await opened(store);
    change('delay');
    draft.document.undo();
    draft.changed();
    expect(draft.saving).toBe('saved');
    expect(await draft.flush()).toBe(true);
    expect(saves).toHaveLength(0);
  });

  it('undone while the change is being saved, is saved as it was', async () => {
    const { store, saves } = shared();
    const { draft, change } = await opened(store);
    const before = draft.document.definition;
    change('delay');
    const first = draft.flush();
    draft.document.undo();
    draft.changed();
    await first;
    expect(draft.saving).toBe('changed');
    await draft.flush();
    expect(saves.at(-1)).toBe(before);
    expect(draft.saving).toBe('saved');
  });

  it('changed while it is being saved is saved again', async () => {
    const { store, saves } = shared();
    const { draft, change } = await opened(store);
    change('delay');
    const first = draft.flush();
    change('join');
    await first;
    expect(draft.isSaved).toBe(false);
    expect(draft.saving).toBe('changed');
    await draft.flush();
    expect(saves).toHaveLength(2);
  });

  it('of two tabs is not overwritten: one is asked, and keeps its own', async () => {
    const { store, now } = shared();
    const [one, two] = [await opened(store), await opened(store)];
    one.change('delay');
    await one.draft.flush();
    two.change('join');
    expect(await two.draft.flush()).toBe(false);
    expect(two.draft.saving).toBe('conflict');
    expect(two.draft.conflict).toMatchObject({ savedBy: 'ann', theirs: one.draft.document.definition });
    two.change('delay');
    await two.draft.flush();
    expect(now.draft).toBe(one.draft.document.definition);
    await two.draft.keepMine();
    expect(now.draft).toBe(two.draft.document.definition);
    expect(two.draft.saving).toBe('saved');
  });

  it('of the other tab is taken, and undo brings back this one and saves it', async () => {
    const { store, now } = shared();
    const [one, two] = [await opened(store), await opened(store)];
    one.change('delay');
    await one.draft.flush();
    two.change('join');
    const mine = two.draft.document.definition;
    await two.draft.flush();
    expect(two.draft.takeTheirs()).toBeUndefined();
    expect(two.draft.document.definition).toEqual(now.draft);
    expect(two.draft.isSaved).toBe(true);
    two.draft.document.undo();
    await two.draft.flush();
    expect(now.draft).toBe(mine);
  });

  it('of a workflow that was deleted is kept under its name when that is chosen', async () => {
    const { store, now } = shared();
    const { draft, change } = await opened(store);
    Object.assign(now, { gone: true, etag: '9' });
    change('delay');
    await draft.flush();
    expect(draft.conflict?.theirs).toBeUndefined();
    await draft.keepMine();
    expect(now.draft).toBe(draft.document.definition);
  });

  it('is tried again, later and later, while nobody answers; what is refused is not', async () => {
    const { store, fails } = shared();
    const { draft, waits, change } = await opened(store);
    fails(new Problem({ title: 'Nobody answers', status: 0 }));
    change('delay');
    await draft.flush();
    expect(draft.saving).toBe('failed');
    await draft.flush();
    expect(waits.map(({ ms }) => ms)).toEqual([800, 2_000, 5_000]);
    fails(new Problem({ title: 'Too large', status: 413 }));
    await draft.flush();
    expect(draft.saving).toBe('refused');
    expect(draft.problem?.title).toBe('Too large');
    expect(waits).toHaveLength(3);
    fails();
    change('join');
    expect(await draft.flush()).toBe(true);
    expect(draft.problem).toBeUndefined();
  });

  it('that can not be drawn says why, and is not saved', async () => {
    const { store, now, saves } = shared();
    now.draft = { nodes: 3 };
    const { draft } = await opened(store);
    expect(draft.undrawn).toMatch(/lists/);
    expect(await draft.flush()).toBe(true);
    expect(saves).toHaveLength(0);
  });
});
