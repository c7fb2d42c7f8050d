-- What a look costs that begins a little before now, as looks do when those at everything are slow.
EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) SELECT * FROM meshhook.pressure(interval '5 s', meshhook.now() - interval '2 s')
