"""How lists are made in versions, trials of them, and who was shown what, with the counts that managers see.

Revision ID: 0031
Revises: 0020
"""

from datetime import datetime, timezone

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

NOW = datetime(2026, 11, 29, tzinfo=timezone.utc)
FIRST = "0d8f6c9e-3b0a-5b7e-9a55-6f3c1f9d2a10"
POLICY = sa.table(
    "recommendation_policy",
    *(sa.column(name) for name in ("id", "number", "created_by", "activated_by")),
    sa.column("definition", sa.JSON()),
    sa.column("created_at", sa.DateTime(timezone=True)),
    sa.column("activated_at", sa.DateTime(timezone=True)),
)
CHOICE = sa.table("recommendation_choice", sa.column("kind"), sa.column("policy_id"))


def upgrade() -> None:
    op.create_table(
        "recommendation_policy",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("definition", sa.JSON(), nullable=False),
        sa.Column("created_by", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("activated_by", sa.String(), nullable=True),
        sa.Column("activated_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("retired_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("number"),
    )
    op.create_table(
        "recommendation_experiment",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("control_id", sa.String(), nullable=False),
        sa.Column("treatment_id", sa.String(), nullable=False),
        sa.Column("percent", sa.Integer(), nullable=False),
        sa.Column("started_by", sa.String(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_by", sa.String(), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["control_id"], ["recommendation_policy.id"]),
        sa.ForeignKeyConstraint(["treatment_id"], ["recommendation_policy.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "recommendation_choice",
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("policy_id", sa.String(), nullable=False),
        sa.Column("experiment_id", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(["policy_id"], ["recommendation_policy.id"]),
        sa.ForeignKeyConstraint(["experiment_id"], ["recommendation_experiment.id"]),
        sa.PrimaryKeyConstraint("kind"),
    )
    op.create_table(
        "recommendation_exposure",
        sa.Column("customer_id", sa.String(), nullable=False),
        sa.Column("community_id", sa.String(), nullable=False),
        sa.Column("variant", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("shown_on", sa.Date(), nullable=False),
        sa.Column("opened_on", sa.Date(), nullable=True),
        sa.Column("joined_on", sa.Date(), nullable=True),
        sa.PrimaryKeyConstraint("customer_id", "community_id"),
    )
    op.create_index("ix_recommendation_exposure_shown", "recommendation_exposure", ["shown_on"], unique=False)
    op.create_table(
        "recommendation_count",
        sa.Column("community_id", sa.String(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("variant", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("shown", sa.Integer(), nullable=False),
        sa.Column("opened", sa.Integer(), nullable=False),
        sa.Column("joined", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("community_id", "day", "variant", "reason"),
    )
    first = {"id": FIRST, "number": 1, "definition": {}, "created_by": "migration", "activated_by": "migration"}
    op.bulk_insert(POLICY, [{**first, "created_at": NOW, "activated_at": NOW}])
    op.bulk_insert(CHOICE, [{"kind": "COMMUNITIES", "policy_id": FIRST}])


def downgrade() -> None:
    op.drop_table("recommendation_count")
    op.drop_index("ix_recommendation_exposure_shown", table_name="recommendation_exposure")
    op.drop_table("recommendation_exposure")
    op.drop_table("recommendation_choice")
    op.drop_table("recommendation_experiment")
    op.drop_table("recommendation_policy")
