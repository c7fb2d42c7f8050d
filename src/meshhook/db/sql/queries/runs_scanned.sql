-- Where runs_page had to end: the 10,000th run below a run id, no row if there are fewer.
--   $1 shard  $2 uuid
SELECT r.id FROM meshhook.runs r
WHERE r.shard = $1::smallint AND r.id < $2::uuid
ORDER BY r.id DESC
OFFSET 9999 LIMIT 1;
