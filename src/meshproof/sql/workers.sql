-- What every worker that was ever started says of itself: writes committed, and stale writes that were refused.
SELECT id, committed, refused, (extract(epoch FROM seen_at) * 1000000)::bigint AS seen_us FROM meshhook.workers
