"""Private calendar feeds, revisions of events in calendars, digests, and quick ways to unread notices.

Revision ID: 0005
Revises: 0004
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "calendar_feed",
        sa.Column("customer_id", sa.String, primary_key=True),
        sa.Column("token_hash", sa.String, nullable=False),
        sa.Column("language", sa.String, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("etag", sa.String, nullable=True),
        sa.Column("modified_at", sa.DateTime(timezone=True), nullable=False),
        sa.UniqueConstraint("token_hash"),
    )
    op.create_table(
        "calendar_revision",
        sa.Column("event_id", sa.String, primary_key=True),
        sa.Column("fingerprint", sa.String, nullable=False),
        sa.Column("sequence", sa.Integer, nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_table(
        "digest",
        sa.Column("week", sa.String, primary_key=True),
        sa.Column("position", sa.String, nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
    )
    op.create_index(
        "ix_notification_unread",
        "notification",
        ["customer_id", "created_at", "id"],
        postgresql_where=sa.text("read_at IS NULL"),
        sqlite_where=sa.text("read_at IS NULL"),
    )
    op.create_index("ix_notification_preference_kind", "notification_preference", ["kind", "customer_id"])


def downgrade() -> None:
    op.drop_index("ix_notification_preference_kind", "notification_preference")
    op.drop_index("ix_notification_unread", "notification")
    for table in ("digest", "calendar_revision", "calendar_feed"):
        op.drop_table(table)
