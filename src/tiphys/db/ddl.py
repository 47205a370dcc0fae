"""The tables of a fresh SQLite file, without SQLAlchemy and alembic: a first run should not wait for their import.

A test holds that this and the migrations give the same schema.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tiphys.db.schema import ALL_TABLES, HEAD, VERSION_TABLE, ColumnType, Table

_TYPES = {
    ColumnType.TEXT: "TEXT",
    ColumnType.FREE_TEXT: "TEXT",
    ColumnType.ENUM: "TEXT",
    ColumnType.JSON: "TEXT",
    ColumnType.INTEGER: "BIGINT",
    ColumnType.TIME: "BIGINT",
    ColumnType.REAL: "DOUBLE",
    ColumnType.BOOLEAN: "BOOLEAN",
}


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


def _table(table: Table) -> Iterator[str]:
    lines = []
    for column in table.columns:
        # Only a column of exactly this type becomes SQLite's own row number.
        given = table.serial and (column.name,) == table.primary_key
        null = "" if column.nullable else " NOT NULL"
        lines.append(f'"{column.name}" {"INTEGER" if given else _TYPES[column.data_type]}{null}')
    lines.append(f"CONSTRAINT {table.primary_key_name} PRIMARY KEY ({_listed(table.primary_key)})")
    lines += [f"CONSTRAINT {table.unique_name(columns)} UNIQUE ({_listed(columns)})" for columns in table.uniques]
    yield f"CREATE TABLE {table.name} ({', '.join(lines)}){' WITHOUT ROWID' if table.clustered else ''}"
    for columns in table.indexes:
        yield f"CREATE INDEX {table.index_name(columns)} ON {table.name} ({_listed(columns)})"
    for columns in table.sparse_indexes:
        yield (
            f"CREATE INDEX {table.index_name(columns)} ON {table.name} ({_listed(columns)}) "
            f'WHERE "{columns[0]}" IS NOT NULL'
        )


def create_statements() -> Iterator[str]:
    """Everything that makes an empty file a database of the newest schema."""
    for table in ALL_TABLES:
        yield from _table(table)
    yield (
        f"CREATE TABLE IF NOT EXISTS {VERSION_TABLE} "
        f"(version_num VARCHAR(32) NOT NULL, CONSTRAINT {VERSION_TABLE}_pkc PRIMARY KEY (version_num))"
    )
    yield f"INSERT INTO {VERSION_TABLE} (version_num) VALUES ('{HEAD}')"
