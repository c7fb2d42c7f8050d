-- What finishing a batch writes. $1: run ids; $2: events as JSON text. By keys and not by a join: no plan of it is a bad one.
WITH taken AS (
    DELETE FROM meshproof_floor.tasks WHERE shard = 0 AND run_id = ANY ($1::uuid[])
), moved AS (
    UPDATE meshproof_floor.runs SET status = 'completed', epoch = 1, finished_at = now()
    WHERE shard = 0 AND id = ANY ($1::uuid[])
)
INSERT INTO meshproof_floor.journal (shard, run_id, seq, epoch, claimed_at, at, events)
SELECT 0, f.run_id, 2, 1, now(), now(), f.events::json FROM unnest($1::uuid[], $2::text[]) AS f (run_id, events)
