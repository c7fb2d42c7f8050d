-- How many events the runs of these workflows ($1) have, by the name of the workflow.
SELECT w.name AS workflow, sum(json_array_length(k.events))::bigint AS events
FROM meshhook.workflows w
JOIN meshhook.runs r ON r.workflow_id = w.id
JOIN meshhook.journal k ON k.shard = r.shard AND k.run_id = r.id
WHERE w.name = ANY ($1::text[])
GROUP BY w.name
