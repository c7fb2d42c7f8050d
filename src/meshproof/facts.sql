-- The facts the judge speaks of, made of the evidence as it was read (facts.py).
--
--   attempts    one row an attempt, with its outcome; without an outcome line it is unknown
--   deliveries  one row (endpoint, delivery): what became of its attempts together
--   runs        one row a stored run, a multiset: nothing here is unique by construction
--   kept        one row a delivery that is in a stored run: a run that has gathered several has several, in their places
--   journals    one row a run: the shape of its journal, without times and data
--   claims      one row a claim of a run: the epoch, since when, and the span of what was written under it
--   leases      one row a lease.taken: when that lease ended, by what
--   calls       one row a call.started: an attempt, and what ended it
--   timers      one row a timer.set: until when, and what ended it
--   effects     one row a request the sink has seen: the run and the node its key names, and the how-manieth of that key it is
--   events      one row a journal event, with the members that matter for the order of things (facts.py)
--   incidents   one row a thing that happened to a process, at_us; since_us is before that when it had gone on for a while
--   faults      one row a planned fault: when it was made, and whether it was seen to hit work in flight
--   children    one row a child.started: the run it names, and as what its end was told
--   origins     one row a run that no delivery began: who did, of which run it is a replay, or which tick of which schedule it is
--   acts        one row a thing that was done to the engine by a call of its API, from began_us to ended_us
--   status_pages  one row a run whose caller did not want to wait longer: what its status_url says once it has ended
--   subscribers, told   who watched live streams, and every event that one of them was told, in the order n
--   tasks, seen, counts, roll_calls   as they were read

CREATE TABLE attempts AS
SELECT a.n,
       s.endpoint,
       a.d                              AS delivery,
       a.k                              AS kind,
       a.s                              AS scenario,
       a.i                              AS index,
       a.intended_us,
       a.hash,
       coalesce(o.outcome, 'unknown')   AS outcome,
       o.status,
       o.problem,
       o.run_id                         AS named,     -- what the reply said, whatever it was
       TRY_CAST(o.run_id AS UUID)       AS run_id,
       o.duplicate,
       o.error,
       o.sent_us,
       o.reply_us,
       o.reply                                        -- what a caller who waited was answered
FROM attempt_lines a
LEFT JOIN outcome_lines o ON o.n = a.n
LEFT JOIN scenarios s ON s.scenario = a.s;

CREATE TABLE deliveries AS
SELECT endpoint,
       delivery,
       count(*)                                        AS attempts,
       count(*) FILTER (outcome = 'ok')                AS acknowledged,
       count(*) FILTER (outcome = 'fail')              AS refused,
       count(*) FILTER (outcome = 'unknown')           AS unknown,
       count(DISTINCT hash)                            AS bodies,
       min(reply_us) FILTER (outcome = 'ok')           AS acknowledged_us
FROM attempts
GROUP BY endpoint, delivery;

CREATE VIEW runs AS
SELECT r.run_id, r.shard, r.workflow, r.version, r.endpoint, r.delivery_key AS delivery, r.status, r.epoch, r.finished_us,
       r.status IN ('completed', 'failed', 'cancelled') AS finished
FROM run_lines r;

CREATE TABLE kept AS
SELECT run_id, endpoint, delivery, 1 AS place, NULL AS sha256,
       (SELECT min(at_us) FROM events e WHERE e.run_id = runs.run_id AND e.seq = 1) AS at_us FROM runs
UNION ALL
SELECT run_id, any_value(r.endpoint), told[1], e.seq, told[2], e.at_us
FROM (SELECT run_id, seq, at_us, TRY(json_extract_string(event, ['$.key', '$.sha256'])) AS told
      FROM events WHERE type = 'delivery.added') e JOIN runs r USING (run_id)
GROUP BY run_id, e.seq, e.at_us, told;

-- Runs of the same shape went the same way, so each shape is judged once. A mark is one event without time and data; marks are
-- separated by RS, their members by US (ASCII 30 and 31), which no name holds.
CREATE TABLE journals AS
SELECT e.run_id,
       any_value(s.scenario)                           AS scenario,
       count(*)                                        AS events,
       list(e.seq ORDER BY e.seq, e.row_seq, e.at_us)  AS seqs,
       string_agg(concat_ws(chr(31), e.type, e.epoch, coalesce(e.node, ''), coalesce(e.port, ''), coalesce(e.owner, ''),
                            coalesce(e.error_type, ''),
                            CASE e.type WHEN 'call.started' THEN e.attempt::VARCHAR
                                        WHEN 'call.failed' THEN e.attempt || if(e.retry_us IS NULL, ' last', ' again')
                                        WHEN 'loop.begun' THEN e.count::VARCHAR
                                        ELSE '' END),
                  chr(30) ORDER BY e.seq, e.row_seq, e.at_us)  AS shape
FROM events e
-- A run that was started by another has no endpoint: what it has to do, its workflow says.
LEFT JOIN (SELECT run_id, min(coalesce(r.endpoint, w.endpoint)) AS endpoint
           FROM runs r LEFT JOIN scenarios w ON w.workflow = r.workflow GROUP BY run_id) r ON r.run_id = e.run_id
LEFT JOIN scenarios s ON s.endpoint = r.endpoint
GROUP BY e.run_id;

-- A claim is told by its epoch and the time it was taken: two claims under one epoch are two rows here.
CREATE TABLE claims AS
SELECT run_id,
       epoch,
       claimed_us,
       min(seq)                                        AS first_seq,
       max(seq)                                        AS last_seq,
       min(at_us)                                      AS first_at_us,
       max(at_us)                                      AS last_at_us
FROM events
WHERE claimed_us IS NOT NULL
GROUP BY run_id, epoch, claimed_us;

-- A lease ends when it was released, when its run ended, or when its time was over: that is until `until`, as the holder wrote it or
-- as the one found it who took over (it may have been renewed in between).
CREATE TABLE leases AS
WITH story AS (
    SELECT *, lead(type) OVER later AS ended_by, lead(at_us) OVER later AS ended_us, lead(until_us) OVER later AS expired_us
    FROM events
    WHERE type IN ('lease.taken', 'lease.released', 'lease.expired', 'run.completed', 'run.failed', 'run.cancelled')
    WINDOW later AS (PARTITION BY run_id ORDER BY seq, row_seq, at_us))
SELECT run_id, seq, epoch, owner, at_us AS taken_us, until_us, ended_by,
       CASE WHEN ended_by = 'lease.expired' THEN greatest(until_us, expired_us)
            WHEN ended_by IN ('lease.released', 'run.completed', 'run.failed', 'run.cancelled') THEN ended_us
            ELSE until_us END                          AS end_us
FROM story
WHERE type = 'lease.taken';

-- An attempt ends by the next thing the journal says of its node. A node is a path; its name is the last part of it.
CREATE TABLE calls AS
WITH story AS (
    SELECT *, lead(type) OVER later AS ended_by, lead(at_us) OVER later AS ended_us, lead(error_type) OVER later AS error,
           lead(error_status) OVER later AS status, lead(retry_us) OVER later AS again_us
    FROM events
    WHERE type IN ('call.started', 'call.failed', 'step.completed', 'step.failed')
    WINDOW later AS (PARTITION BY run_id, node ORDER BY seq, row_seq, at_us))
SELECT s.run_id, j.scenario, s.node, regexp_replace(s.node, '^.*[.]', '') AS name, s.attempt, s.epoch, s.seq, s.claimed_us, s.at_us AS started_us,
       s.ended_by, s.ended_us, s.error, s.status, s.again_us AS retry_us
FROM story s LEFT JOIN journals j USING (run_id)
WHERE s.type = 'call.started';

CREATE TABLE timers AS
WITH story AS (
    SELECT *, lead(type) OVER later AS ended_by, lead(at_us) OVER later AS ended_us
    FROM events
    WHERE type IN ('timer.set', 'step.completed', 'step.failed')
    WINDOW later AS (PARTITION BY run_id, node ORDER BY seq, row_seq, at_us))
SELECT s.run_id, j.scenario, s.node, regexp_replace(s.node, '^.*[.]', '') AS name, s.seq, s.claimed_us, s.at_us AS set_us, s.until_us, s.ended_by, s.ended_us
FROM story s LEFT JOIN journals j USING (run_id)
WHERE s.type = 'timer.set';

CREATE TABLE effects AS
SELECT *,
       TRY_CAST(split_part(key, '/', 1) AS UUID)                           AS run_id,
       substr(key, strpos(key, '/') + 1)                                   AS node,
       row_number() OVER (PARTITION BY key ORDER BY at_us, attempt)        AS number
FROM receipts
-- What came after the database was read is not in what was read: a run may have been at work still.
WHERE at_us <= coalesce((SELECT read_us FROM reading), at_us);

CREATE TABLE children AS
WITH started AS (
    SELECT run_id, node, TRY_CAST(TRY(json_extract_string(event, '$.run_id')) AS UUID) AS child,
           TRY_CAST(TRY(json_extract_string(event, '$.wait')) AS BOOLEAN) AS waits
    FROM events WHERE type = 'child.started'
), ended AS (
    SELECT run_id, TRY_CAST(TRY(json_extract_string(event, '$.run_id')) AS UUID) AS child,
           min(TRY(json_extract_string(event, '$.status'))) AS told
    FROM events WHERE type = 'child.ended' GROUP BY run_id, child)
SELECT s.*, e.told FROM started s LEFT JOIN ended e ON e.run_id = s.run_id AND e.child = s.child;

CREATE TABLE origins AS
SELECT run_id, at_us AS accepted_us, told[1] AS source, TRY_CAST(told[2] AS UUID) AS replay_of, told[3] AS schedule,
       epoch_us(TRY_CAST(told[4] AS TIMESTAMPTZ)) AS tick_us
FROM (SELECT e.run_id, e.at_us,
             TRY(json_extract_string(e.event, ['$.source', '$.replay_of', '$.trigger.schedule', '$.trigger.tick'])) AS told
      FROM events e
      WHERE e.seq = 1 AND e.type = 'run.accepted' AND e.run_id IN (SELECT run_id FROM run_lines WHERE endpoint IS NULL))
WHERE told[1] IS NOT NULL;
