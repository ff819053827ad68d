"""A monthly balance and a preferred channel for each name that a source has for a customer: of two each has its own.

Rows of before belong to the first of the names, because nothing says to which; a correction of that one finds them.

Revision ID: 0023
Revises: 0022
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

KEYS = {"monthly_balance": ("customer_id", "month", "source"), "channel_preference": ("customer_id", "channel", "source")}


def columns_of(table: str) -> list[sa.Column[Any]]:
    """The columns of a table as they were before."""
    own: list[sa.Column[Any]] = [
        sa.Column("channel", sa.String(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("is_preferred", sa.Boolean(), nullable=False),
    ]
    if table == "monthly_balance":
        own = [
            sa.Column("month", sa.Date(), nullable=False),
            sa.Column("source", sa.String(), nullable=False),
            sa.Column("average", sa.BigInteger(), nullable=False),
            sa.Column("closing", sa.BigInteger(), nullable=True),
            sa.Column("contribution", sa.BigInteger(), nullable=False),
            sa.Column("currency", sa.String(), nullable=False),
        ]
    return [
        sa.Column("customer_id", sa.String(), nullable=False),
        *own,
        sa.Column("legal_basis", sa.String(), nullable=True),
        sa.Column("observed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
    ]


def upgrade() -> None:
    for table, keys in KEYS.items():
        first = (
            f"coalesce((SELECT min(a.key) FROM customer_alias a WHERE a.customer_id = {table}.customer_id "  # noqa: S608 - our own names
            f"AND a.source = {table}.source), '')"
        )
        if op.get_bind().dialect.name == "postgresql":
            op.add_column(table, sa.Column("customer_key", sa.String(), nullable=False, server_default=""))
            op.execute(f"UPDATE {table} SET customer_key = {first}")  # noqa: S608 - our own names
            op.alter_column(table, "customer_key", server_default=None)
            put_keys(table, [*keys, "customer_key"])
        else:
            key = sa.Column("customer_key", sa.String(), nullable=False)
            write_anew(table, [*columns_of(table), key], [*keys, "customer_key"], {"customer_key": first})


def downgrade() -> None:
    for table, keys in KEYS.items():
        # Without the name there is room for one of them.
        same = " AND ".join(f"o.{key} = {table}.{key}" for key in keys)
        op.execute(
            f"DELETE FROM {table} WHERE EXISTS (SELECT 1 FROM {table} o WHERE {same} "  # noqa: S608 - our own names
            f"AND o.customer_key < {table}.customer_key)"
        )
        if op.get_bind().dialect.name == "postgresql":
            put_keys(table, list(keys))
            op.drop_column(table, "customer_key")
        else:
            write_anew(table, columns_of(table), list(keys), {})


def put_keys(table: str, keys: list[str]) -> None:
    op.drop_constraint(f"{table}_pkey", table, type_="primary")
    op.create_primary_key(f"{table}_pkey", table, keys)


def write_anew(table: str, columns: list[sa.Column[Any]], keys: list[str], made: dict[str, str]) -> None:
    """Copy a table into one with this primary key, which SQLite cannot change; `made` says how columns are made."""
    op.create_table(f"{table}_new", *columns, sa.PrimaryKeyConstraint(*keys))
    names = [column.name for column in columns]
    values = ", ".join(made.get(name, name) for name in names)
    op.execute(f"INSERT INTO {table}_new ({', '.join(names)}) SELECT {values} FROM {table}")  # noqa: S608 - our own names
    op.drop_table(table)
    op.rename_table(f"{table}_new", table)
