-- The schema of MeshHook: what the migrations in src/meshhook/db/sql/migrations add up to. Written by `make schema`; a test
-- compares it. Functions stand in src/meshhook/db/sql/functions. Partitions of runs and journal are made day by day.

CREATE SCHEMA meshhook;

CREATE TYPE meshhook.run_status AS ENUM (
    'queued',
    'running',
    'waiting',
    'paused',
    'completed',
    'failed',
    'cancelled'
);

CREATE FUNCTION meshhook.feed_lock(p_place bigint) RETURNS bigint
    LANGUAGE sql IMMUTABLE
    AS $$
    SELECT (x'6D6866'::bigint << 40) | (p_place & ((1::bigint << 40) - 1))
$$;

CREATE FUNCTION meshhook.note_in_feed() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM added) THEN
        RETURN NULL;
    END IF;
    PERFORM pg_advisory_xact_lock_shared(meshhook.feed_lock(pg_sequence_last_value('meshhook.feed_place')));
    INSERT INTO meshhook.feed (shard, place, at, run_ids, seqs)
    SELECT a.shard, nextval('meshhook.feed_place'), max(a.at), array_agg(a.run_id), array_agg(a.seq)
    FROM (SELECT n.shard, n.run_id, n.seq, n.at FROM added n ORDER BY n.seq) a
    GROUP BY a.shard;
    RETURN NULL;
END $$;

CREATE FUNCTION meshhook.refuse_change() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    RAISE EXCEPTION '%.% is immutable here: % refused', TG_TABLE_SCHEMA, TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'integrity_constraint_violation', HINT = TG_ARGV[0];
END $$;

CREATE FUNCTION meshhook.refuse_change_but_trimming() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF current_setting('meshhook.trimming', true) = 'on'
       AND (NEW.shard, NEW.run_id, NEW.seq, NEW.epoch, NEW.at) = (OLD.shard, OLD.run_id, OLD.seq, OLD.epoch, OLD.at)
       AND NEW.claimed_at IS NOT DISTINCT FROM OLD.claimed_at
       AND meshhook.event_types(NEW.events) = meshhook.event_types(OLD.events)
       AND EXISTS (SELECT FROM meshhook.runs r WHERE r.shard = OLD.shard AND r.id = OLD.run_id AND r.finished_at IS NOT NULL)
    THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION '%.% is immutable here: % refused', TG_TABLE_SCHEMA, TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'integrity_constraint_violation', HINT = TG_ARGV[0];
END $$;

CREATE TABLE meshhook.api_keys (
    id integer NOT NULL,
    project_id integer NOT NULL,
    name text NOT NULL,
    hash bytea NOT NULL,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    revoked_at timestamp with time zone
);
ALTER TABLE meshhook.api_keys ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME meshhook.api_keys_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE meshhook.audit_log (
    id bigint NOT NULL,
    at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    project_id integer,
    actor text NOT NULL,
    action text NOT NULL,
    subject text NOT NULL,
    detail json DEFAULT '{}'::json NOT NULL
);
ALTER TABLE meshhook.audit_log ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME meshhook.audit_log_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE meshhook.data_keys (
    project_id integer NOT NULL,
    version integer NOT NULL,
    kek text NOT NULL,
    wrapped bytea NOT NULL,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);

CREATE TABLE meshhook.dedupe (
    shard smallint NOT NULL,
    endpoint_id integer NOT NULL,
    key text NOT NULL,
    run_id uuid NOT NULL,
    body_hash bytea NOT NULL,
    expires_at timestamp with time zone NOT NULL
);

CREATE TABLE meshhook.endpoints (
    id integer NOT NULL,
    project_id integer NOT NULL,
    path text NOT NULL,
    workflow_id integer NOT NULL,
    methods text[] DEFAULT '{POST}'::text[] NOT NULL,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    config json DEFAULT '{}'::json NOT NULL
);
ALTER TABLE meshhook.endpoints ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME meshhook.endpoints_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE meshhook.events (
    shard smallint NOT NULL,
    number bigint NOT NULL,
    project_id integer NOT NULL,
    id text NOT NULL,
    run_id uuid,
    name text NOT NULL,
    key text NOT NULL,
    payload json NOT NULL,
    at timestamp with time zone NOT NULL,
    expires_at timestamp with time zone NOT NULL
);
ALTER TABLE meshhook.events ALTER COLUMN number ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME meshhook.events_number_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE meshhook.feed (
    shard smallint NOT NULL,
    place bigint NOT NULL,
    at timestamp with time zone NOT NULL,
    run_ids uuid[] NOT NULL,
    seqs integer[] NOT NULL
)
WITH (autovacuum_vacuum_scale_factor='0', autovacuum_vacuum_threshold='20000');
ALTER TABLE ONLY meshhook.feed ALTER COLUMN run_ids SET STORAGE EXTERNAL;
ALTER TABLE ONLY meshhook.feed ALTER COLUMN seqs SET STORAGE EXTERNAL;

CREATE SEQUENCE meshhook.feed_place
    START WITH 0
    INCREMENT BY 1
    MINVALUE 0
    NO MAXVALUE
    CACHE 1;

CREATE TABLE meshhook.journal (
    shard smallint NOT NULL,
    run_id uuid NOT NULL,
    seq integer NOT NULL,
    epoch integer NOT NULL,
    claimed_at timestamp with time zone,
    at timestamp with time zone NOT NULL,
    events json NOT NULL,
    status meshhook.run_status
)
PARTITION BY RANGE (run_id);

CREATE TABLE meshhook.migrations (
    name text NOT NULL,
    checksum text NOT NULL,
    applied_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);

CREATE TABLE meshhook.projects (
    id integer NOT NULL,
    name text NOT NULL,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);
ALTER TABLE meshhook.projects ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME meshhook.projects_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE UNLOGGED TABLE meshhook.rate_buckets (
    endpoint_id integer NOT NULL,
    tokens double precision NOT NULL,
    filled_at timestamp with time zone NOT NULL
)
WITH (fillfactor='50');

CREATE TABLE meshhook.refusal_counts (
    endpoint_id integer NOT NULL,
    problem text NOT NULL,
    hour timestamp with time zone NOT NULL,
    refused bigint NOT NULL
);

CREATE TABLE meshhook.refusals (
    id bigint NOT NULL,
    at timestamp with time zone NOT NULL,
    endpoint_id integer NOT NULL,
    status smallint NOT NULL,
    problem text NOT NULL,
    detail text NOT NULL,
    remote text,
    delivery_key text,
    unwritten integer DEFAULT 0 NOT NULL
);
ALTER TABLE meshhook.refusals ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME meshhook.refusals_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE VIEW meshhook.run_events AS
 SELECT j.shard,
    j.run_id,
    (((j.seq + e.ordinality) - 1))::integer AS seq,
    j.epoch,
    j.claimed_at,
    j.at,
    "substring"((e.event)::text, '^\{"type" ?: ?"([a-z.]+)"'::text) AS type,
    e.event
   FROM meshhook.journal j,
    LATERAL json_array_elements(j.events) WITH ORDINALITY e(event, ordinality);

CREATE TABLE meshhook.runs (
    shard smallint NOT NULL,
    id uuid NOT NULL,
    project_id integer NOT NULL,
    workflow_id integer NOT NULL,
    version_id integer NOT NULL,
    endpoint_id integer,
    epoch integer DEFAULT 0 NOT NULL,
    status meshhook.run_status DEFAULT 'queued'::meshhook.run_status NOT NULL,
    finished_at timestamp with time zone,
    delivery_key text,
    CONSTRAINT runs_finished CHECK (((status >= 'completed'::meshhook.run_status) = (finished_at IS NOT NULL)))
)
PARTITION BY RANGE (id);

CREATE TABLE meshhook.schedules (
    id integer NOT NULL,
    project_id integer NOT NULL,
    name text NOT NULL,
    workflow_id integer NOT NULL,
    config json NOT NULL,
    tick_at timestamp with time zone,
    due_at timestamp with time zone,
    held_at timestamp with time zone,
    last_tick_at timestamp with time zone,
    last_run_id uuid,
    last_error text,
    fired bigint DEFAULT 0 NOT NULL,
    skipped bigint DEFAULT 0 NOT NULL,
    missed bigint DEFAULT 0 NOT NULL,
    paused_at timestamp with time zone,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    updated_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);
ALTER TABLE meshhook.schedules ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME meshhook.schedules_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE meshhook.secrets (
    project_id integer NOT NULL,
    name text NOT NULL,
    version integer NOT NULL,
    data_key integer NOT NULL,
    sealed bytea NOT NULL,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    valid_until timestamp with time zone,
    last_used_at timestamp with time zone
);

CREATE TABLE meshhook.settings (
    name text NOT NULL,
    value text NOT NULL
);

CREATE TABLE meshhook.signals (
    shard smallint NOT NULL,
    run_id uuid NOT NULL,
    number bigint NOT NULL,
    kind text NOT NULL,
    body json NOT NULL,
    at timestamp with time zone NOT NULL
);
ALTER TABLE meshhook.signals ALTER COLUMN number ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME meshhook.signals_number_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE meshhook.tasks (
    shard smallint NOT NULL,
    run_id uuid NOT NULL,
    due_at timestamp with time zone NOT NULL,
    epoch integer DEFAULT 0 NOT NULL,
    owner text,
    signaled boolean DEFAULT false NOT NULL
)
WITH (autovacuum_vacuum_scale_factor='0', autovacuum_vacuum_threshold='20000', autovacuum_vacuum_cost_delay='0');

CREATE TABLE meshhook.trim_later (
    shard smallint NOT NULL,
    run_id uuid NOT NULL
);

CREATE TABLE meshhook.trimming (
    shard smallint NOT NULL,
    done_to uuid NOT NULL
);

CREATE TABLE meshhook.versions (
    id integer NOT NULL,
    workflow_id integer NOT NULL,
    number integer NOT NULL,
    definition json NOT NULL,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);
ALTER TABLE meshhook.versions ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME meshhook.versions_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE meshhook.waits (
    shard smallint NOT NULL,
    run_id uuid NOT NULL,
    node text NOT NULL,
    project_id integer NOT NULL,
    name text NOT NULL,
    key text NOT NULL
);

CREATE TABLE meshhook.workers (
    id text NOT NULL,
    started_at timestamp with time zone NOT NULL,
    seen_at timestamp with time zone NOT NULL,
    committed bigint DEFAULT 0 NOT NULL,
    refused bigint DEFAULT 0 NOT NULL
);

CREATE TABLE meshhook.workflows (
    id integer NOT NULL,
    project_id integer NOT NULL,
    name text NOT NULL,
    draft json NOT NULL,
    published_version_id integer,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    updated_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);
ALTER TABLE meshhook.workflows ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME meshhook.workflows_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
ALTER TABLE ONLY meshhook.api_keys
    ADD CONSTRAINT api_keys_hash_key UNIQUE (hash);
ALTER TABLE ONLY meshhook.api_keys
    ADD CONSTRAINT api_keys_pkey PRIMARY KEY (id);
ALTER TABLE ONLY meshhook.api_keys
    ADD CONSTRAINT api_keys_project_id_name_key UNIQUE (project_id, name);
ALTER TABLE ONLY meshhook.audit_log
    ADD CONSTRAINT audit_log_pkey PRIMARY KEY (id);
ALTER TABLE ONLY meshhook.data_keys
    ADD CONSTRAINT data_keys_pkey PRIMARY KEY (project_id, version);
ALTER TABLE ONLY meshhook.dedupe
    ADD CONSTRAINT dedupe_pkey PRIMARY KEY (shard, endpoint_id, key);
ALTER TABLE ONLY meshhook.endpoints
    ADD CONSTRAINT endpoints_path_key UNIQUE (path);
ALTER TABLE ONLY meshhook.endpoints
    ADD CONSTRAINT endpoints_pkey PRIMARY KEY (id);
ALTER TABLE ONLY meshhook.events
    ADD CONSTRAINT events_pkey PRIMARY KEY (shard, number);
ALTER TABLE ONLY meshhook.feed
    ADD CONSTRAINT feed_pkey PRIMARY KEY (shard, place);
ALTER TABLE ONLY meshhook.journal
    ADD CONSTRAINT journal_pkey PRIMARY KEY (shard, run_id, seq);
ALTER TABLE ONLY meshhook.migrations
    ADD CONSTRAINT migrations_pkey PRIMARY KEY (name);
ALTER TABLE ONLY meshhook.projects
    ADD CONSTRAINT projects_name_key UNIQUE (name);
ALTER TABLE ONLY meshhook.projects
    ADD CONSTRAINT projects_pkey PRIMARY KEY (id);
ALTER TABLE ONLY meshhook.rate_buckets
    ADD CONSTRAINT rate_buckets_pkey PRIMARY KEY (endpoint_id);
ALTER TABLE ONLY meshhook.refusal_counts
    ADD CONSTRAINT refusal_counts_pkey PRIMARY KEY (endpoint_id, problem, hour);
ALTER TABLE ONLY meshhook.refusals
    ADD CONSTRAINT refusals_pkey PRIMARY KEY (id);
ALTER TABLE ONLY meshhook.runs
    ADD CONSTRAINT runs_pkey PRIMARY KEY (shard, id);
ALTER TABLE ONLY meshhook.schedules
    ADD CONSTRAINT schedules_pkey PRIMARY KEY (id);
ALTER TABLE ONLY meshhook.schedules
    ADD CONSTRAINT schedules_project_id_name_key UNIQUE (project_id, name);
ALTER TABLE ONLY meshhook.secrets
    ADD CONSTRAINT secrets_pkey PRIMARY KEY (project_id, name, version);
ALTER TABLE ONLY meshhook.settings
    ADD CONSTRAINT settings_pkey PRIMARY KEY (name);
ALTER TABLE ONLY meshhook.signals
    ADD CONSTRAINT signals_pkey PRIMARY KEY (shard, run_id, number);
ALTER TABLE ONLY meshhook.tasks
    ADD CONSTRAINT tasks_pkey PRIMARY KEY (shard, run_id);
ALTER TABLE ONLY meshhook.trim_later
    ADD CONSTRAINT trim_later_pkey PRIMARY KEY (shard, run_id);
ALTER TABLE ONLY meshhook.trimming
    ADD CONSTRAINT trimming_pkey PRIMARY KEY (shard);
ALTER TABLE ONLY meshhook.versions
    ADD CONSTRAINT versions_pkey PRIMARY KEY (id);
ALTER TABLE ONLY meshhook.versions
    ADD CONSTRAINT versions_workflow_id_number_key UNIQUE (workflow_id, number);
ALTER TABLE ONLY meshhook.waits
    ADD CONSTRAINT waits_pkey PRIMARY KEY (shard, run_id, node);
ALTER TABLE ONLY meshhook.workers
    ADD CONSTRAINT workers_pkey PRIMARY KEY (id);
ALTER TABLE ONLY meshhook.workflows
    ADD CONSTRAINT workflows_pkey PRIMARY KEY (id);
ALTER TABLE ONLY meshhook.workflows
    ADD CONSTRAINT workflows_project_id_name_key UNIQUE (project_id, name);

CREATE INDEX audit_log_of_project ON meshhook.audit_log USING btree (project_id, id);

CREATE INDEX dedupe_expiry ON meshhook.dedupe USING brin (expires_at);

CREATE INDEX events_by_key ON meshhook.events USING btree (shard, project_id, name, key, number);

CREATE INDEX events_by_run ON meshhook.events USING btree (shard, run_id, name, number) WHERE (run_id IS NOT NULL);

CREATE INDEX events_expiry ON meshhook.events USING brin (expires_at);

CREATE UNIQUE INDEX events_once ON meshhook.events USING btree (shard, project_id, id);

CREATE INDEX refusals_of_endpoint ON meshhook.refusals USING btree (endpoint_id, id);

CREATE INDEX schedules_due ON meshhook.schedules USING btree (due_at) WHERE (paused_at IS NULL);

CREATE INDEX tasks_due ON meshhook.tasks USING btree (shard, due_at);

CREATE INDEX waits_by_event ON meshhook.waits USING btree (shard, project_id, name, key);

CREATE TRIGGER audit_log_is_append_only BEFORE DELETE OR UPDATE ON meshhook.audit_log FOR EACH ROW EXECUTE FUNCTION meshhook.refuse_change('The audit log is append-only.');

CREATE TRIGGER audit_log_is_not_emptied BEFORE TRUNCATE ON meshhook.audit_log FOR EACH STATEMENT EXECUTE FUNCTION meshhook.refuse_change('The audit log is append-only.');

CREATE TRIGGER finished_runs_are_immutable BEFORE UPDATE ON meshhook.runs FOR EACH ROW WHEN ((old.finished_at IS NOT NULL)) EXECUTE FUNCTION meshhook.refuse_change('A finished run never changes; replay it as a new run.');

CREATE TRIGGER journal_goes_into_feed AFTER INSERT ON meshhook.journal REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION meshhook.note_in_feed();

CREATE TRIGGER journal_is_append_only BEFORE UPDATE ON meshhook.journal FOR EACH ROW EXECUTE FUNCTION meshhook.refuse_change_but_trimming('The journal is append-only.');

CREATE TRIGGER versions_are_immutable BEFORE UPDATE ON meshhook.versions FOR EACH ROW EXECUTE FUNCTION meshhook.refuse_change('Publish a new version instead.');
ALTER TABLE ONLY meshhook.api_keys
    ADD CONSTRAINT api_keys_project_id_fkey FOREIGN KEY (project_id) REFERENCES meshhook.projects(id);
ALTER TABLE ONLY meshhook.data_keys
    ADD CONSTRAINT data_keys_project_id_fkey FOREIGN KEY (project_id) REFERENCES meshhook.projects(id);
ALTER TABLE ONLY meshhook.endpoints
    ADD CONSTRAINT endpoints_project_id_fkey FOREIGN KEY (project_id) REFERENCES meshhook.projects(id);
ALTER TABLE ONLY meshhook.endpoints
    ADD CONSTRAINT endpoints_workflow_id_fkey FOREIGN KEY (workflow_id) REFERENCES meshhook.workflows(id);
ALTER TABLE ONLY meshhook.schedules
    ADD CONSTRAINT schedules_project_id_fkey FOREIGN KEY (project_id) REFERENCES meshhook.projects(id);
ALTER TABLE ONLY meshhook.schedules
    ADD CONSTRAINT schedules_workflow_id_fkey FOREIGN KEY (workflow_id) REFERENCES meshhook.workflows(id);
ALTER TABLE ONLY meshhook.secrets
    ADD CONSTRAINT secrets_project_id_data_key_fkey FOREIGN KEY (project_id, data_key) REFERENCES meshhook.data_keys(project_id, version);
ALTER TABLE ONLY meshhook.secrets
    ADD CONSTRAINT secrets_project_id_fkey FOREIGN KEY (project_id) REFERENCES meshhook.projects(id);
ALTER TABLE ONLY meshhook.versions
    ADD CONSTRAINT versions_workflow_id_fkey FOREIGN KEY (workflow_id) REFERENCES meshhook.workflows(id);
ALTER TABLE ONLY meshhook.workflows
    ADD CONSTRAINT workflows_project_id_fkey FOREIGN KEY (project_id) REFERENCES meshhook.projects(id);
ALTER TABLE ONLY meshhook.workflows
    ADD CONSTRAINT workflows_published_version_id_fkey FOREIGN KEY (published_version_id) REFERENCES meshhook.versions(id);
