-- The runs of these deliveries ($1), as far as they are stored.
SELECT r.id::text AS run_id, r.delivery_key
FROM meshhook.runs r
WHERE r.delivery_key = ANY ($1::text[])
