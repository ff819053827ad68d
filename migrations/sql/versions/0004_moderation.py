"""Reports and what moderators decided.

Revision ID: 0004
Revises: 0003
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "report",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("target_id", sa.String, nullable=False),
        sa.Column("reporter_id", sa.String, nullable=False),
        sa.Column("reason", sa.String, nullable=False),
        sa.Column("text", sa.String, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("resolved_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("resolution", sa.String, nullable=True),
    )
    op.create_index("ix_report_target", "report", ["target_id", "resolved_at", "id"])
    op.create_table(
        "moderation_case",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("community_id", sa.String, nullable=False),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("author_id", sa.String, nullable=False),
        sa.Column("is_open", sa.Boolean, nullable=False),
        sa.Column("report_count", sa.Integer, nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("resolved_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("resolution", sa.String, nullable=True),
        sa.Column("resolved_by", sa.String, nullable=True),
        sa.Column("note", sa.String, nullable=True),
    )
    op.create_index("ix_moderation_case_queue", "moderation_case", ["community_id", "is_open", "opened_at", "id"])


def downgrade() -> None:
    for table in ("moderation_case", "report"):
        op.drop_table(table)
