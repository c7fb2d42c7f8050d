-- Every event of the runs of these workflows ($1), by the name of the workflow.
SELECT w.name, k.run_id, (k.seq + e.number)::int AS seq
FROM meshhook.workflows w
JOIN meshhook.runs r ON r.workflow_id = w.id
JOIN meshhook.journal k ON k.shard = r.shard AND k.run_id = r.id
CROSS JOIN LATERAL generate_series(0, json_array_length(k.events) - 1) AS e (number)
WHERE w.name = ANY ($1::text[])
