"""What the processes tell Prometheus: ``families`` names everything there is, the other files say where each figure comes from.

Events are counted where they happen and read by a scrape. What is state, such as the queue, is read from the database by a scrape
of the API, at most every few seconds (see ``state``).
"""
