"""The load generator: open and closed models over one light HTTP client, and its own certificate."""
