-- Every event of every journal of these endpoints ($1; null for the whole database), in order.
-- An event may hold \u0000, which is JSON and no text of Postgres: its type is read from a copy that has another escape there.
SELECT k.run_id, (k.seq + e.ordinality - 1)::int AS seq, k.seq AS row_seq, k.epoch,
       (extract(epoch FROM k.claimed_at) * 1000000)::bigint AS claimed_us,
       (extract(epoch FROM k.at) * 1000000)::bigint AS at_us,
       CASE WHEN strpos(e.event::text, '\u0000') = 0 THEN e.event ->> 'type'
            ELSE replace(e.event::text, '\u0000', '\u0001')::json ->> 'type' END AS type,
       e.event::text AS event
FROM meshhook.journal k, json_array_elements(k.events) WITH ORDINALITY AS e (event, ordinality)
WHERE $1::int[] IS NULL
   OR EXISTS (SELECT FROM meshhook.runs r WHERE r.shard = k.shard AND r.id = k.run_id AND r.endpoint_id = ANY ($1))
ORDER BY k.run_id, k.seq, e.ordinality
