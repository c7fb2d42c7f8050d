-- Runs as they are in this snapshot, with a digest of their journals. $1, $2: shards and ids; $3, $4: least and greatest id.
-- A run that is not there comes back as absent.
SELECT w.id::text AS run_id, coalesce(r.status::text, 'absent') AS status, r.epoch, j.seq, j.digest
FROM unnest($1::smallint[], $2::uuid[]) AS w (shard, id)
LEFT JOIN meshhook.runs r ON r.shard = w.shard AND r.id = w.id AND r.id BETWEEN $3 AND $4
LEFT JOIN LATERAL (
    SELECT count(*)::int AS seq, md5(string_agg(e.event::text, E'\n' ORDER BY k.seq, e.ordinality)) AS digest
    FROM meshhook.journal k, json_array_elements(k.events) WITH ORDINALITY AS e (event, ordinality)
    WHERE k.shard = w.shard AND k.run_id = w.id AND k.run_id BETWEEN $3 AND $4
) j ON r.id IS NOT NULL
