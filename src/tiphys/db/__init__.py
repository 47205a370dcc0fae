"""The metadata database: the only place that knows SQL, SQLAlchemy and alembic."""
