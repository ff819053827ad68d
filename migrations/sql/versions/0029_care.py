"""Days of customers, what is planned and sent for them, mutes, runs, and the first policy of care.

Revision ID: 0029
Revises: 0025
"""

from datetime import datetime, timezone

import sqlalchemy as sa
from alembic import op

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None

NOW = datetime(2026, 11, 29, tzinfo=timezone.utc)
# What the model said when this was written; later versions are written by administrators.
ALL = ["MASS", "POTENTIAL", "VIP"]
FIRST = {
    "hour": 9,
    "task_days": 3,
    "festivals": {
        "SPRING_FESTIVAL": ALL,
        "MID_AUTUMN": ALL,
        "NATIONAL_DAY": ALL,
        "NEW_YEAR": ALL,
        "DRAGON_BOAT": ["POTENTIAL", "VIP"],
        "LANTERN": ["VIP"],
        "DOUBLE_NINTH": ["VIP"],
    },
}
POLICY = sa.table(
    "care_policy",
    *(sa.column(name) for name in ("id", "number", "slot", "created_by", "activated_by")),
    sa.column("definition", sa.JSON()),
    sa.column("created_at", sa.DateTime(timezone=True)),
    sa.column("activated_at", sa.DateTime(timezone=True)),
)
OUTBOX = sa.table(
    "outbox",
    *(sa.column(name) for name in ("id", "topic", "key", "attempts")),
    sa.column("payload", sa.JSON()),
    sa.column("created_at", sa.DateTime(timezone=True)),
    sa.column("available_at", sa.DateTime(timezone=True)),
)
PLANNED = sa.text("status = 'PLANNED'")


def upgrade() -> None:
    op.create_table(
        "care_date",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("customer_id", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("calendar", sa.String(), nullable=False),
        sa.Column("day_code", sa.String(), nullable=False),
        sa.Column("year", sa.Integer(), nullable=True),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("added_by", sa.String(), nullable=False),
        sa.Column("added_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("removed_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("customer_id", "kind"),
    )
    op.create_index("ix_care_date_day", "care_date", ["day_code", "customer_id", "kind"])
    op.create_table(
        "care_occasion",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("customer_id", sa.String(), nullable=False),
        sa.Column("care_date_id", sa.String(), nullable=True),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("festival", sa.String(), nullable=True),
        sa.Column("year", sa.Integer(), nullable=False),
        sa.Column("rank", sa.Integer(), nullable=False),
        sa.Column("on_day", sa.Date(), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("planned_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "ix_care_occasion_due", "care_occasion", ["due_at", "id"], postgresql_where=PLANNED, sqlite_where=PLANNED
    )
    op.create_index("ix_care_occasion_customer", "care_occasion", ["customer_id", "on_day", "id"])
    op.create_index("ix_care_occasion_date", "care_occasion", ["care_date_id"])
    op.create_table(
        "care_greeting",
        sa.Column("customer_id", sa.String(), nullable=False),
        sa.Column("on_day", sa.Date(), nullable=False),
        sa.Column("occasion_id", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("customer_id", "on_day"),
    )
    op.create_table(
        "care_mute",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("customer_id", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("until", sa.Date(), nullable=True),
        sa.Column("muted_by", sa.String(), nullable=False),
        sa.Column("begun_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_by", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_care_mute_customer", "care_mute", ["customer_id", "begun_at", "id"])
    op.create_table(
        "care_policy",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("slot", sa.String(), nullable=True),
        sa.Column("definition", sa.JSON(), nullable=False),
        sa.Column("created_by", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("activated_by", sa.String(), nullable=True),
        sa.Column("activated_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("retired_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("number"),
        sa.UniqueConstraint("slot"),
    )
    op.create_table(
        "care_run",
        sa.Column("part", sa.String(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("shard", sa.String(), nullable=False),
        sa.Column("cursor", sa.String(), nullable=False),
        sa.Column("worker", sa.String(), nullable=True),
        sa.Column("busy_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("looked_at", sa.Integer(), nullable=False),
        sa.Column("planned", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("part", "day", "shard"),
    )
    first = {"id": "0c8f7a54-3a0b-5d0a-9d7d-5c2a1f0e9b31", "number": 1, "slot": "active", "definition": FIRST}
    first |= {"created_by": "migration", "created_at": NOW, "activated_by": "migration", "activated_at": NOW}
    op.bulk_insert(POLICY, [first])
    if op.get_bind().execute(sa.text("SELECT 1 FROM customer LIMIT 1")).first() is not None:
        # Only the worker can open birth dates; it goes through the profiles page after page.
        row = {"id": "5b1f3d0c-0a4e-5c1b-8a2f-6d7e8f901a2b", "topic": "customer.days_all", "key": "first"}
        row |= {"payload": {"after": ""}, "created_at": NOW, "available_at": NOW, "attempts": 0}
        op.bulk_insert(OUTBOX, [row])


def downgrade() -> None:
    op.execute("DELETE FROM outbox WHERE topic IN ('customer.days_all', 'customer.days_told', 'care.date_added')")
    op.drop_table("care_run")
    op.drop_table("care_policy")
    op.drop_index("ix_care_mute_customer", table_name="care_mute")
    op.drop_table("care_mute")
    op.drop_table("care_greeting")
    op.drop_index("ix_care_occasion_date", table_name="care_occasion")
    op.drop_index("ix_care_occasion_customer", table_name="care_occasion")
    op.drop_index("ix_care_occasion_due", table_name="care_occasion")
    op.drop_table("care_occasion")
    op.drop_index("ix_care_date_day", table_name="care_date")
    op.drop_table("care_date")
