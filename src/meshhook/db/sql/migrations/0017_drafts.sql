-- What people who build workflows need: who saved a draft, tags, notes on versions, deleting with a way back, and test runs.

-- A deleted workflow has no published version, so nothing starts it any more, by whatever way. The version it had is parked.
ALTER TABLE meshhook.workflows
    ADD COLUMN draft_by          text,                       -- who saved the draft; null: before this was written down
    ADD COLUMN tags              text[] NOT NULL DEFAULT '{}',
    ADD COLUMN deleted_at        timestamptz,
    ADD COLUMN parked_version_id int REFERENCES meshhook.versions (id),
    ADD CONSTRAINT workflows_deleted
        CHECK (CASE WHEN deleted_at IS NULL THEN parked_version_id IS NULL ELSE published_version_id IS NULL END);

-- A version without a number is what one test run runs: never published, never listed, and gone when the run is.
ALTER TABLE meshhook.versions
    ALTER COLUMN number DROP NOT NULL,
    ADD COLUMN note         text,
    ADD COLUMN published_by text,                            -- null: before this was written down
    ADD COLUMN test_run     uuid,
    ADD CONSTRAINT versions_of_test_runs_have_no_number CHECK ((number IS NULL) = (test_run IS NOT NULL));
CREATE UNIQUE INDEX versions_of_test_runs ON meshhook.versions (test_run) WHERE test_run IS NOT NULL;
