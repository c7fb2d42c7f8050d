-- How many runs there are of the workflows of a namespace ($1).
SELECT count(*)
FROM meshhook.runs r
JOIN meshhook.workflows w ON w.id = r.workflow_id
WHERE starts_with(w.name, $1 || '-')
