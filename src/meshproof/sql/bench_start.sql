-- How long runs waited for their first claim: those accepted between two run ids ($1, $2). In milliseconds.
SELECT count(*)::int AS runs,
       coalesce(percentile_cont(0.5) WITHIN GROUP (ORDER BY waited_ms), 0)::float8 AS p50,
       coalesce(percentile_cont(0.99) WITHIN GROUP (ORDER BY waited_ms), 0)::float8 AS p99,
       coalesce(max(waited_ms), 0)::float8 AS max
FROM (SELECT extract(epoch FROM first.claimed_at - accepted.at)::float8 * 1000 AS waited_ms
      FROM meshhook.journal accepted
      JOIN meshhook.journal first
        ON first.shard = accepted.shard AND first.run_id = accepted.run_id AND first.seq = 2
      WHERE accepted.seq = 1 AND accepted.run_id BETWEEN $1 AND $2) runs
