"""Everything that touches the driver, the server or SQL files. Nothing else imports asyncpg."""
