"""Households that staff declare, and cases of suspected fraud.

Revision ID: 0011
Revises: 0010
"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "household",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("reason", sa.String, nullable=False),
        sa.Column("declared_by", sa.String, nullable=False),
        sa.Column("declared_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
    )
    op.create_table(
        "household_member",
        sa.Column("household_id", sa.String, sa.ForeignKey("household.id"), primary_key=True),
        sa.Column("customer_id", sa.String, primary_key=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
    )
    op.create_index(
        "ux_household_member_active",
        "household_member",
        ["customer_id"],
        unique=True,
        sqlite_where=sa.text("ended_at IS NULL"),
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.create_table(
        "fraud_case",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("status", sa.String, nullable=False),
        sa.Column("score", sa.Float, nullable=False),
        sa.Column("evidence", sa.JSON, nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("decided_by", sa.String, nullable=True),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("reason", sa.String, nullable=True),
    )
    op.create_index("ix_fraud_case_status", "fraud_case", ["status", "opened_at", "id"])
    op.create_index("ix_fraud_case_opened", "fraud_case", ["opened_at", "id"])
    op.create_table(
        "fraud_case_member",
        sa.Column("case_id", sa.String, sa.ForeignKey("fraud_case.id"), primary_key=True),
        sa.Column("customer_id", sa.String, primary_key=True),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
    )
    op.create_index("ix_fraud_case_member_customer", "fraud_case_member", ["customer_id"])
    op.create_index(
        "ux_fraud_case_member_open",
        "fraud_case_member",
        ["customer_id"],
        unique=True,
        sqlite_where=sa.text("closed_at IS NULL"),
        postgresql_where=sa.text("closed_at IS NULL"),
    )


def downgrade() -> None:
    op.drop_table("fraud_case_member")
    op.drop_table("fraud_case")
    op.drop_table("household_member")
    op.drop_table("household")
