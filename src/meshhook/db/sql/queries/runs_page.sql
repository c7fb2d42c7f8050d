-- The newest runs of one shard below a run id that belong to a project and pass the filters.
--
-- Looks at 10,000 rows at most: a filter that few runs pass makes a short page, never a slow one. That number is written out
-- because the planner takes a guess at a parameter, and the guess leads away from the index. runs_scanned tells where such a
-- scan had to end.
--   $1 shard  $2 uuid  $3 project  $4 status or null  $5 workflow id or null  $6 rows wanted
SELECT page.id, w.name AS workflow, v.number AS version, page.status, e.path AS endpoint, page.delivery_key, page.epoch,
       (SELECT j.at FROM meshhook.journal j WHERE j.shard = $1::smallint AND j.run_id = page.id AND j.seq = 1) AS accepted_at,
       page.finished_at
FROM (SELECT scanned.*
      FROM (SELECT r.* FROM meshhook.runs r
            WHERE r.shard = $1::smallint AND r.id < $2::uuid
            ORDER BY r.id DESC
            LIMIT 10000) scanned
      WHERE scanned.project_id = $3
        AND ($4::meshhook.run_status IS NULL OR scanned.status = $4)
        AND ($5::int IS NULL OR scanned.workflow_id = $5)
      ORDER BY scanned.id DESC
      LIMIT $6) page
JOIN meshhook.workflows w ON w.id = page.workflow_id
JOIN meshhook.versions v ON v.id = page.version_id
LEFT JOIN meshhook.endpoints e ON e.id = page.endpoint_id
ORDER BY page.id DESC;
