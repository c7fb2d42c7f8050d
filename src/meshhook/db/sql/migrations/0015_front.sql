-- These take one argument more now: where to begin. See functions/front.sql.
DROP FUNCTION IF EXISTS meshhook.claim(smallint, int);
DROP FUNCTION IF EXISTS meshhook.claim_timed(smallint, timestamptz, int);
DROP FUNCTION IF EXISTS meshhook.claim_lanes(smallint, timestamptz, int);
DROP FUNCTION IF EXISTS meshhook.claim_ready(smallint, timestamptz, int[], int);
DROP FUNCTION IF EXISTS meshhook.pressure(interval);
