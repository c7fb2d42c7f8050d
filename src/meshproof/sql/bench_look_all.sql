-- What a look at all of the queue costs. pressure() looks into the same indexes as claim(), and takes nothing.
EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) SELECT * FROM meshhook.pressure(interval '5 s')
