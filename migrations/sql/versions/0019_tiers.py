"""Tiers: versions of the policy, monthly runs with their decisions, overrides; and counts by kind of an import.

Revision ID: 0019
Revises: 0018
"""

from datetime import datetime, timezone

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

# The policy with which a bank begins, as customers.tier_policy had it when this was written; its id is computed.
FIRST_POLICY_ID = "1cf3bba1-d1d9-556e-913d-0442f8b219fd"
FIRST_POLICY = {
    "currency": "CNY",
    "assets": {
        "weight": 500,
        "curve": [[0, 0], [5_000_000, 30], [50_000_000, 60], [600_000_000, 85], [1_000_000_000, 100]],
    },
    "contribution": {"weight": 200, "curve": [[0, 0], [50_000, 30], [500_000, 60], [5_000_000, 100]]},
    "potential": {"weight": 200, "curve": [[0, 0], [100, 100]]},
    "tenure": {"weight": 100, "curve": [[0, 0], [120, 100]]},
    "entries": {
        "POTENTIAL": {"score": 35, "assets": None, "potential": 70},
        "VIP": {"score": 60, "assets": 50_000_000, "potential": None},
    },
    "keep_percent": 90,
    "misses": 3,
    "carry_months": 2,
    "risk_caps": {"HIGH": "MASS"},
    "overrides_beat_risk": False,
    "run_after_days": 5,
}
POLICY = sa.table(
    "tier_policy",
    sa.column("id"),
    sa.column("version"),
    sa.column("status"),
    sa.column("definition", sa.JSON()),
    sa.column("created_by"),
    sa.column("created_at", sa.DateTime(timezone=True)),
    sa.column("activated_by"),
    sa.column("activated_at", sa.DateTime(timezone=True)),
)
# By table, the new columns that always have a value, and what those have that are there already.
NEW = {
    "account_transaction": {"observed_at": "occurred_at"},
    "service_record": {"observed_at": "coalesce(closed_at, occurred_at)"},
    "customer_tier": {"computed_tier": "tier", "computed_watch": "on_watch"},
    "import_batch": {"is_external": "false"},
}
KINDS = {
    "observed_at": sa.DateTime(timezone=True),
    "computed_tier": sa.String(),
    "computed_watch": sa.Boolean(),
    "is_external": sa.Boolean(),
}


def upgrade() -> None:
    op.create_table(
        "tier_change",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("customer_id", sa.String(), nullable=False),
        sa.Column("month", sa.Date(), nullable=True),
        sa.Column("from_tier", sa.String(), nullable=False),
        sa.Column("to_tier", sa.String(), nullable=False),
        sa.Column("cause", sa.String(), nullable=False),
        sa.Column("override_id", sa.String(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_tier_change_at", "tier_change", ["at", "id"], unique=False)
    op.create_index("ix_tier_change_customer", "tier_change", ["customer_id", "at", "id"], unique=False)
    op.create_index("ix_tier_change_month", "tier_change", ["month", "customer_id"], unique=False)
    op.create_table(
        "tier_decision",
        sa.Column("customer_id", sa.String(), nullable=False),
        sa.Column("month", sa.Date(), nullable=False),
        sa.Column("assets", sa.BigInteger(), nullable=True),
        sa.Column("contribution", sa.BigInteger(), nullable=True),
        sa.Column("potential", sa.Integer(), nullable=True),
        sa.Column("tenure", sa.Integer(), nullable=True),
        sa.Column("risk", sa.String(), nullable=True),
        sa.Column("carried", sa.SmallInteger(), nullable=False),
        sa.Column("marks", sa.SmallInteger(), nullable=False),
        sa.Column("score", sa.Integer(), nullable=False),
        sa.Column("earned", sa.SmallInteger(), nullable=False),
        sa.Column("standing", sa.SmallInteger(), nullable=False),
        sa.Column("tier", sa.SmallInteger(), nullable=False),
        sa.Column("misses", sa.SmallInteger(), nullable=False),
        sa.Column("best", sa.SmallInteger(), nullable=False),
        sa.Column("rule", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("customer_id", "month"),
    )
    op.create_table(
        "tier_override",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("customer_id", sa.String(), nullable=False),
        sa.Column("tier", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("requested_by", sa.String(), nullable=False),
        sa.Column("requested_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("decided_by", sa.String(), nullable=True),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("decision_reason", sa.String(), nullable=True),
        sa.Column("ended_by", sa.String(), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("end_reason", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_tier_override_customer", "tier_override", ["customer_id", "requested_at", "id"], unique=False)
    op.create_index("ix_tier_override_status", "tier_override", ["status", "requested_at", "id"], unique=False)
    op.create_index(
        "uq_tier_override_approved",
        "tier_override",
        ["customer_id"],
        unique=True,
        sqlite_where=sa.text("status = 'APPROVED'"),
        postgresql_where=sa.text("status = 'APPROVED'"),
    )
    op.create_index(
        "uq_tier_override_pending",
        "tier_override",
        ["customer_id"],
        unique=True,
        sqlite_where=sa.text("status = 'PENDING'"),
        postgresql_where=sa.text("status = 'PENDING'"),
    )
    op.create_table(
        "tier_policy",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("definition", sa.JSON(), nullable=False),
        sa.Column("created_by", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("activated_by", sa.String(), nullable=True),
        sa.Column("activated_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("retired_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("version"),
    )
    op.create_index(
        "uq_tier_policy_active",
        "tier_policy",
        ["status"],
        unique=True,
        sqlite_where=sa.text("status = 'ACTIVE'"),
        postgresql_where=sa.text("status = 'ACTIVE'"),
    )
    op.create_table(
        "import_count",
        sa.Column("batch_id", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("accepted", sa.Integer(), nullable=False),
        sa.Column("rejected", sa.Integer(), nullable=False),
        sa.Column("unchanged", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(
            ["batch_id"],
            ["import_batch.id"],
        ),
        sa.PrimaryKeyConstraint("batch_id", "kind"),
    )
    op.create_table(
        "tier_run",
        sa.Column("month", sa.Date(), nullable=False),
        sa.Column("policy_id", sa.String(), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("cursor", sa.String(), nullable=False),
        sa.Column("batches", sa.Integer(), nullable=False),
        sa.Column("customers", sa.Integer(), nullable=False),
        sa.Column("decided", sa.Integer(), nullable=False),
        sa.Column("rises", sa.Integer(), nullable=False),
        sa.Column("falls", sa.Integer(), nullable=False),
        sa.Column("on_watch", sa.Integer(), nullable=False),
        sa.Column("capped", sa.Integer(), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("busy_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["policy_id"],
            ["tier_policy.id"],
        ),
        sa.PrimaryKeyConstraint("month"),
    )

    op.add_column("customer_tier", sa.Column("cap", sa.String(), nullable=True))
    op.add_column("customer_tier", sa.Column("override_tier", sa.String(), nullable=True))
    op.add_column("customer_trait", sa.Column("legal_basis", sa.String(), nullable=True))
    for table, columns in NEW.items():
        for name, value in columns.items():
            op.add_column(table, sa.Column(name, KINDS[name], nullable=True))
            op.execute(sa.text(f"UPDATE {table} SET {name} = {value}"))
        with op.batch_alter_table(table) as batch:
            for name in columns:
                batch.alter_column(name, existing_type=KINDS[name], nullable=False)
    written = datetime(2026, 11, 28, tzinfo=timezone.utc)
    op.bulk_insert(
        POLICY,
        [
            {
                "id": FIRST_POLICY_ID,
                "version": 1,
                "status": "ACTIVE",
                "definition": FIRST_POLICY,
                "created_by": "kinship",
                "created_at": written,
                "activated_by": "kinship",
                "activated_at": written,
            }
        ],
    )


def downgrade() -> None:
    for table, columns in NEW.items():
        for name in columns:
            op.drop_column(table, name)
    op.drop_column("customer_trait", "legal_basis")
    op.drop_column("customer_tier", "override_tier")
    op.drop_column("customer_tier", "cap")
    op.drop_table("tier_run")
    op.drop_table("import_count")
    op.drop_index(
        "uq_tier_policy_active",
        table_name="tier_policy",
        sqlite_where=sa.text("status = 'ACTIVE'"),
        postgresql_where=sa.text("status = 'ACTIVE'"),
    )
    op.drop_table("tier_policy")
    op.drop_index(
        "uq_tier_override_pending",
        table_name="tier_override",
        sqlite_where=sa.text("status = 'PENDING'"),
        postgresql_where=sa.text("status = 'PENDING'"),
    )
    op.drop_index(
        "uq_tier_override_approved",
        table_name="tier_override",
        sqlite_where=sa.text("status = 'APPROVED'"),
        postgresql_where=sa.text("status = 'APPROVED'"),
    )
    op.drop_index("ix_tier_override_status", table_name="tier_override")
    op.drop_index("ix_tier_override_customer", table_name="tier_override")
    op.drop_table("tier_override")
    op.drop_table("tier_decision")
    op.drop_index("ix_tier_change_month", table_name="tier_change")
    op.drop_index("ix_tier_change_customer", table_name="tier_change")
    op.drop_index("ix_tier_change_at", table_name="tier_change")
    op.drop_table("tier_change")
