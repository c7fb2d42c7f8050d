-- How many checkpoints there were (Postgres 17 and newer).
SELECT num_timed + num_requested AS checkpoints FROM pg_stat_checkpointer
