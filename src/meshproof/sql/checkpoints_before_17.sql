-- How many checkpoints there were (Postgres 15 and 16).
SELECT checkpoints_timed + checkpoints_req AS checkpoints FROM pg_stat_bgwriter
