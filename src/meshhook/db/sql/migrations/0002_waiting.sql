-- Runs that wait for a timer or for the next attempt of a call.
ALTER TYPE meshhook.run_status ADD VALUE IF NOT EXISTS 'waiting' AFTER 'running';
