"""Points charged for registrations.

Revision ID: 0007
Revises: 0006
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "event_charge",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("event_id", sa.String, nullable=False),
        sa.Column("customer_id", sa.String, nullable=False),
        sa.Column("sequence", sa.Integer, nullable=False),
        sa.Column("points", sa.Integer, nullable=False),
        sa.Column("status", sa.String, nullable=False),
        sa.Column("posting_id", sa.String, sa.ForeignKey("ledger_posting.id"), nullable=True),
        sa.Column("refund_id", sa.String, sa.ForeignKey("ledger_posting.id"), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_index("ix_event_charge_event", "event_charge", ["event_id", "status", "id"])


def downgrade() -> None:
    op.drop_table("event_charge")
