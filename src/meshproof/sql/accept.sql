-- Store a batch of deliveries to one endpoint ($3, its path) as the door would. $1: shard; $2: run ids; $4: delivery ids; $5: hashes of
-- the bodies; $6: triggers. Gives back only those that did not become a run.
SELECT a.ordinal, a.outcome
FROM meshhook.endpoints e,
     meshhook.accept($1::smallint, $2::uuid[], array_fill(e.id, ARRAY[cardinality($2::uuid[])]), $4::text[], $5::bytea[],
                     $6::text[], interval '1 day') a
WHERE e.path = $3
