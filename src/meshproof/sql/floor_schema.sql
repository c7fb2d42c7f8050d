-- Tables of the floor: the columns, keys and indexes of the engine's own, empty, and in a schema that is dropped afterwards.
-- The fillfactor is that of the engine's partitions, without which the floor would be lower than it can be.
DROP SCHEMA IF EXISTS meshproof_floor CASCADE;
CREATE SCHEMA meshproof_floor;
CREATE TABLE meshproof_floor.runs (LIKE meshhook.runs INCLUDING ALL) WITH (fillfactor = 50);
CREATE TABLE meshproof_floor.journal (LIKE meshhook.journal INCLUDING ALL);
CREATE TABLE meshproof_floor.tasks (LIKE meshhook.tasks INCLUDING ALL);
CREATE TABLE meshproof_floor.dedupe (LIKE meshhook.dedupe INCLUDING ALL);
