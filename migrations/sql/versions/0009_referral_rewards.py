"""Referral programmes with money, caps and steps; rewards that can wait, be reviewed and go back.

Revision ID: 0009
Revises: 0008
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    with op.batch_alter_table("referral_program") as table:
        table.alter_column("budget_points", type_=sa.BigInteger, existing_nullable=True)
        table.alter_column("reserved_points", type_=sa.BigInteger, existing_nullable=False)
        table.add_column(sa.Column("budget_amount", sa.BigInteger, nullable=True))
        table.add_column(sa.Column("currency", sa.String, nullable=True))
        table.add_column(sa.Column("amount_per_thousand", sa.BigInteger, nullable=False, server_default="0"))
        table.add_column(sa.Column("reserved_worth", sa.BigInteger, nullable=False, server_default="0"))
        table.create_check_constraint(
            "ck_referral_program_amount", "budget_amount IS NULL OR reserved_worth <= budget_amount * 1000"
        )
    with op.batch_alter_table("referral") as table:
        table.add_column(sa.Column("qualified_at", INSTANT, nullable=True))
        table.add_column(sa.Column("rejected_at", INSTANT, nullable=True))
        table.drop_index("ix_referral_referrer_id")
        table.create_index("ix_referral_referrer_claimed", ["referrer_id", "claimed_at", "id"])
        table.create_index("ix_referral_program_claimed", ["program_id", "claimed_at", "id"])
    op.create_table(
        "referral_counter",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("program_id", sa.String, sa.ForeignKey("referral_program.id"), nullable=False),
        sa.Column("period_start", INSTANT, nullable=False),
        sa.Column("rewards", sa.Integer, nullable=False),
        sa.Column("points", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "referral_step",
        sa.Column("referral_id", sa.String, sa.ForeignKey("referral.id"), primary_key=True),
        sa.Column("step", sa.String, primary_key=True),
        sa.Column("program_id", sa.String, nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("fact_id", sa.String, nullable=False),
        sa.Column("reached_at", INSTANT, nullable=False),
    )
    with op.batch_alter_table("referral_reward") as table:
        table.add_column(sa.Column("wanted_points", sa.Integer, nullable=False, server_default="0"))
        table.add_column(sa.Column("lost_points", sa.Integer, nullable=False, server_default="0"))
        table.add_column(sa.Column("worth", sa.BigInteger, nullable=False, server_default="0"))
        table.add_column(sa.Column("counters", sa.JSON, nullable=False, server_default="[]"))
        table.add_column(sa.Column("case_id", sa.String, nullable=True))
        table.add_column(sa.Column("reviewed_by", sa.String, nullable=True))
        table.add_column(sa.Column("reviewed_at", INSTANT, nullable=True))
        table.add_column(sa.Column("review_reason", sa.String, nullable=True))
        table.add_column(sa.Column("reversed_at", INSTANT, nullable=True))
        table.create_index("ix_referral_reward_reached", ["program_id", "reached_at"])
        table.create_index("ix_referral_reward_customer", ["customer_id", "id"])
        table.create_index("ix_referral_reward_status", ["status", "created_at", "id"])
        table.create_index("ix_referral_reward_case", ["case_id"])
    # The defaults were for the rows of before.
    with op.batch_alter_table("referral_program") as table:
        for column in ("amount_per_thousand", "reserved_worth"):
            table.alter_column(column, server_default=None)
    with op.batch_alter_table("referral_reward") as table:
        for column in ("wanted_points", "lost_points", "worth", "counters"):
            table.alter_column(column, server_default=None)
    # What a limit had refused kept its points then; from now on `points` is what was granted.
    op.execute("UPDATE referral_reward SET wanted_points = points")
    op.execute("UPDATE referral_reward SET points = 0 WHERE reason IN ('CAP_REACHED', 'BUDGET_EXHAUSTED')")


def downgrade() -> None:
    with op.batch_alter_table("referral_reward") as table:
        for index in ("case", "status", "customer", "reached"):
            table.drop_index(f"ix_referral_reward_{index}")
        for column in (
            "reversed_at", "review_reason", "reviewed_at", "reviewed_by", "case_id", "counters", "worth",
            "lost_points", "wanted_points",
        ):
            table.drop_column(column)
    op.drop_table("referral_step")
    op.drop_table("referral_counter")
    with op.batch_alter_table("referral") as table:
        table.drop_index("ix_referral_program_claimed")
        table.drop_index("ix_referral_referrer_claimed")
        table.create_index("ix_referral_referrer_id", ["referrer_id"])
        table.drop_column("rejected_at")
        table.drop_column("qualified_at")
    with op.batch_alter_table("referral_program") as table:
        table.drop_constraint("ck_referral_program_amount", type_="check")
        for column in ("reserved_worth", "amount_per_thousand", "currency", "budget_amount"):
            table.drop_column(column)
        table.alter_column("reserved_points", type_=sa.Integer, existing_nullable=False)
        table.alter_column("budget_points", type_=sa.Integer, existing_nullable=True)
