"""Schedules of the engine's own SQL, played one move at a time, in an order that a seed decides.

    a seed  ->  a plan (what comes from outside) and a scheduler (who moves next)
            ->  moves of actors, each with a connection of its own  ->  what is stored, looked at after every commit
            ->  at the end all die, the leases run out, and one worker that is left must bring every run to its end
            ->  a violation: its moves, shrunk to those it takes

The engine is neither imported nor started: its functions are called as its processes call them. Nothing waits for real time.
"""
