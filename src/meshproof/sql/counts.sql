-- Every run, by where it is, in one snapshot. $1: the endpoints of this run, or null for the whole database.
-- at_us is taken before the snapshot, so whatever was acknowledged by then must be counted here. That is the begin of the
-- transaction: the snapshot may be as old as the moment the statement was prepared, a round trip before it is executed.
SELECT (extract(epoch FROM transaction_timestamp()) * 1000000)::bigint AS at_us,
       r.accepted, t.queued, t.leased, t.waiting, r.terminal
FROM (SELECT count(*) AS accepted, count(finished_at) AS terminal
      FROM meshhook.runs
      WHERE $1::int[] IS NULL OR endpoint_id = ANY ($1)) r,
     (SELECT count(*) FILTER (WHERE owner IS NULL AND due_at <= statement_timestamp()) AS queued,
             count(*) FILTER (WHERE owner IS NOT NULL) AS leased,
             count(*) FILTER (WHERE owner IS NULL AND due_at > statement_timestamp()) AS waiting
      FROM meshhook.tasks t
      WHERE $1::int[] IS NULL
         OR EXISTS (SELECT FROM meshhook.runs r
                    WHERE r.shard = t.shard AND r.id = t.run_id AND r.endpoint_id = ANY ($1))) t
