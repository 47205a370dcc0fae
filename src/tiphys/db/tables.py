"""The tables as SQLAlchemy knows them: what alembic compares a database with."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy import Table as SqlTable
from sqlalchemy.types import TypeEngine

from tiphys.db.schema import ALL_TABLES, ColumnType, Table

#: Text is compared byte by byte, so that order, paging and prefixes are the same on all databases.
TEXT: TypeEngine[Any] = Text().with_variant(Text(collation="C"), "postgresql")
#: Numbers that the database gives out.
SERIAL: TypeEngine[Any] = BigInteger().with_variant(Integer(), "sqlite")

_TYPES: dict[ColumnType, TypeEngine[Any]] = {
    ColumnType.TEXT: TEXT,
    ColumnType.FREE_TEXT: TEXT,
    ColumnType.ENUM: TEXT,
    ColumnType.JSON: TEXT,
    ColumnType.INTEGER: BigInteger(),
    ColumnType.TIME: BigInteger(),
    ColumnType.REAL: Double(),
    ColumnType.BOOLEAN: Boolean(),
}


def _table(table: Table, metadata: MetaData) -> None:
    columns: list[Column[Any]] = []
    for column in table.columns:
        given = table.serial and (column.name,) == table.primary_key
        columns.append(
            Column(
                column.name,
                SERIAL if given else _TYPES[column.data_type],
                nullable=column.nullable,
                autoincrement=given,
            )
        )
    SqlTable(
        table.name,
        metadata,
        *columns,
        PrimaryKeyConstraint(*table.primary_key, name=table.primary_key_name),
        *(UniqueConstraint(*names, name=table.unique_name(names)) for names in table.uniques),
        *(Index(table.index_name(names), *names) for names in table.indexes),
        *(_sparse_index(table, names) for names in table.sparse_indexes),
        sqlite_with_rowid=not table.clustered,
    )


def _sparse_index(table: Table, names: tuple[str, ...]) -> Index:
    condition = text(f'"{names[0]}" IS NOT NULL')
    return Index(table.index_name(names), *names, sqlite_where=condition, postgresql_where=condition)


def _metadata() -> MetaData:
    metadata = MetaData()
    for table in ALL_TABLES:
        _table(table, metadata)
    return metadata


METADATA = _metadata()
