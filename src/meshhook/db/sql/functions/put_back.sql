-- put_back: what claim() took and nobody had the time to begin goes back into the queue as it was, in the same transaction.
CREATE OR REPLACE FUNCTION meshhook.put_back(
    p_shard smallint, p_run_ids uuid[], p_epochs int[], p_owners text[], p_dues timestamptz[], p_signaled boolean[]
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO meshhook.tasks (shard, run_id, epoch, owner, due_at, signaled)
    SELECT p_shard, u.* FROM unnest(p_run_ids, p_epochs, p_owners, p_dues, p_signaled) AS u;
END $$;
