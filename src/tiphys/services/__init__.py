"""Use cases on a database: each write is one transaction."""
