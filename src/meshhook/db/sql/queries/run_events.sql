-- Events of one run of a project behind a sequence number, in order; as many as asked for and 8 MiB at most, but at least one.
-- One row without an event when there are none behind it; no row when the project has no such run.
--   $1 shard  $2 run id  $3 project  $4 behind this sequence number  $5 events wanted
SELECT behind.seq, behind.at, behind.epoch, behind.event, behind.more
FROM meshhook.runs r
LEFT JOIN LATERAL (
    SELECT sized.*, lead(sized.seq) OVER (ORDER BY sized.seq) IS NOT NULL AS more
    FROM (SELECT e.seq, e.at, e.epoch, e.event::text AS event,
                 sum(octet_length(e.event::text)) OVER (ORDER BY e.seq) - octet_length(e.event::text) AS bytes_before
          FROM meshhook.run_events e
          WHERE e.shard = $1::smallint AND e.run_id = $2::uuid AND e.seq > $4
          ORDER BY e.seq LIMIT $5 + 1) sized
    ORDER BY sized.seq
) behind ON behind.bytes_before < 8 * 1024 * 1024
WHERE r.shard = $1::smallint AND r.id = $2::uuid AND r.project_id = $3
ORDER BY behind.seq
LIMIT $5;
