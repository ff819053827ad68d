"""Households that staff declare.

Revision ID: 0013
Revises: 0009
"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0009"
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


def downgrade() -> None:
    op.drop_table("household_member")
    op.drop_table("household")
