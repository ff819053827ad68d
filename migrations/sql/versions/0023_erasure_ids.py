"""Under which ids there was something of an erased customer, so that their old ones are erased after a restore as well.

Revision ID: 0024
Revises: 0023
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

ERASURE = sa.table(
    "customer_erasure",
    sa.column("id", sa.String),
    sa.column("customer_id", sa.String),
    sa.column("finished_at", sa.DateTime(timezone=True)),
    sa.column("ids", sa.JSON),
)


def upgrade() -> None:
    with op.batch_alter_table("customer_erasure") as batch:
        batch.add_column(sa.Column("ids", sa.JSON(), nullable=False, server_default="{}"))
    with op.batch_alter_table("customer_erasure") as batch:
        batch.alter_column("ids", server_default=None)
    connection = op.get_bind()
    old: dict[str, list[str]] = {}
    for id, into in connection.execute(sa.text("SELECT id, merged_into FROM customer WHERE merged_into IS NOT NULL")):
        old.setdefault(into, []).append(id)
    for row in connection.execute(sa.select(ERASURE)).all():
        done = None if row.finished_at is None else row.finished_at.isoformat()
        ids: dict[str, Any] = dict.fromkeys([row.customer_id, *old.get(row.customer_id, ())], done)
        connection.execute(ERASURE.update().where(ERASURE.c.id == row.id).values(ids=ids))


def downgrade() -> None:
    with op.batch_alter_table("customer_erasure") as batch:
        batch.drop_column("ids")
