"""Segments with their versions; one life-cycle tag at a time; rewards for a segment.

Where there are customers already, their tags stand in the graph alone so far: bringing them into SQL is owed.

Revision ID: 0018
Revises: 0017
"""

from datetime import datetime, timezone

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

INSTANT = sa.DateTime(timezone=True)
STANDING_LIFE_CYCLE = sa.text("ended_at IS NULL AND family = 'LIFE_CYCLE'")
OUTBOX = sa.table(
    "outbox",
    *(sa.column(name) for name in ("id", "topic", "key", "attempts")),
    sa.column("payload", sa.JSON),
    sa.column("created_at", INSTANT),
    sa.column("available_at", INSTANT),
)
BACKFILL = {
    "id": "0f2c7a3e-5d0b-5c1e-9a55-0018b0a7c0de",
    "topic": "tags.backfill",
    "key": "0018",
    "attempts": 0,
    "payload": {},
}


def upgrade() -> None:
    op.create_table(
        "segment",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("name_zh", sa.String(), nullable=False),
        sa.Column("name_en", sa.String(), nullable=False),
        sa.Column("condition", sa.JSON(), nullable=False),
        sa.Column("created_by", sa.String(), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("updated_by", sa.String(), nullable=False),
        sa.Column("updated_at", INSTANT, nullable=False),
        sa.Column("archived_by", sa.String(), nullable=True),
        sa.Column("archived_at", INSTANT, nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "segment_version",
        sa.Column("segment_id", sa.String(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("name_zh", sa.String(), nullable=False),
        sa.Column("name_en", sa.String(), nullable=False),
        sa.Column("condition", sa.JSON(), nullable=False),
        sa.Column("made_by", sa.String(), nullable=False),
        sa.Column("made_at", INSTANT, nullable=False),
        sa.ForeignKeyConstraint(["segment_id"], ["segment.id"]),
        sa.PrimaryKeyConstraint("segment_id", "version"),
    )
    op.create_index(
        "uq_customer_tag_life_cycle",
        "customer_tag",
        ["customer_id"],
        unique=True,
        sqlite_where=STANDING_LIFE_CYCLE,
        postgresql_where=STANDING_LIFE_CYCLE,
    )
    op.add_column("reward", sa.Column("segment_id", sa.String(), nullable=True))
    connection = op.get_bind()
    if connection.execute(sa.text("SELECT 1 FROM customer LIMIT 1")).first() is not None:
        now = datetime.now(timezone.utc)
        connection.execute(OUTBOX.insert(), {**BACKFILL, "created_at": now, "available_at": now})


def downgrade() -> None:
    op.execute("DELETE FROM outbox WHERE topic = 'tags.backfill'")
    op.drop_column("reward", "segment_id")
    op.drop_index(
        "uq_customer_tag_life_cycle",
        table_name="customer_tag",
        sqlite_where=STANDING_LIFE_CYCLE,
        postgresql_where=STANDING_LIFE_CYCLE,
    )
    op.drop_table("segment_version")
    op.drop_table("segment")
