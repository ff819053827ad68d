"""What stands behind events beside the graph: feedback, and its stars counted.

Revision ID: 0008
Revises: 0007
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "event_feedback",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("event_id", sa.String, nullable=False),
        sa.Column("customer_id", sa.String, nullable=False),
        sa.Column("rating", sa.Integer, nullable=False),
        sa.Column("comment", sa.String, nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.UniqueConstraint("event_id", "customer_id"),
    )
    op.create_index("ix_event_feedback_event", "event_feedback", ["event_id", "created_at", "id"])
    op.create_table(
        "event_rating",
        sa.Column("event_id", sa.String, primary_key=True),
        *(sa.Column(f"stars_{stars}", sa.Integer, nullable=False) for stars in range(1, 6)),
    )


def downgrade() -> None:
    op.drop_table("event_rating")
    op.drop_table("event_feedback")
