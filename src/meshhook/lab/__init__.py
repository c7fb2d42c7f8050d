"""The Lab: concurrency tests started from the API, each by a `meshproof` of its own beside this process.

    wanted   what a test may be asked for, and the command that does it
    suite    whether the suite is here, what it offers, and how it is started: in an environment that names nothing of ours
    shelf    the folders of tests, each with its settings, the events it tells, and its evidence
    told     what the events of a test add up to
    bench    one test at a time: begin, break off, end with us

A test drives an engine of its own, on an embedded Postgres in a temporary folder. Nothing in here knows the live database, and the
suite is never imported: what it can and what it found is read from what it writes.
"""
