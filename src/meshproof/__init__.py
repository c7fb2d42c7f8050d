"""meshproof: drives an engine with seeded load, watches it, and proves from independent ledgers what became of it."""
