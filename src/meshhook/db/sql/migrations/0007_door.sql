-- What an endpoint asks of a delivery: signature, windows, formats, limits. The shape is that of meshhook/endpoint_config.py.
ALTER TABLE meshhook.endpoints ADD COLUMN config json NOT NULL DEFAULT '{}';

-- The delivery log: what the door refused. What it accepted are the runs. A ring: rows are written in batches, sampled when there
-- are many, and the oldest are deleted by their number (see functions/note_refusals.sql), so a flood can't fill the disk.
CREATE TABLE meshhook.refusals (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at           timestamptz NOT NULL,
    endpoint_id  int NOT NULL,
    status       smallint NOT NULL,
    problem      text NOT NULL,               -- the name of the problem type
    detail       text NOT NULL,
    remote       text,                        -- address of whoever sent it, as this server saw it
    delivery_key text,
    unwritten    int NOT NULL DEFAULT 0       -- refused alike since the row before, and only counted
);
CREATE INDEX refusals_of_endpoint ON meshhook.refusals (endpoint_id, id);

-- How many were refused, whether a row was written for each or not.
CREATE TABLE meshhook.refusal_counts (
    endpoint_id int NOT NULL,
    problem     text NOT NULL,
    hour        timestamptz NOT NULL,
    refused     bigint NOT NULL,
    PRIMARY KEY (endpoint_id, problem, hour)
);
