-- Which of these sessions ($1) are still there.
SELECT pid FROM pg_stat_activity WHERE pid = ANY ($1::int[])
