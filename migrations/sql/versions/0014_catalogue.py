"""Kinds of rewards, their prices and tags, pools of coupon codes, and the states of redemptions.

Revision ID: 0014
Revises: 0013
"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

INSTANT = sa.DateTime(timezone=True)
REWARD = (
    ("kind", sa.String, "VOUCHER"),
    ("description_zh", sa.String, ""),
    ("description_en", sa.String, ""),
    ("expired_policy", sa.String, "FORFEIT"),
    ("grace_days", sa.Integer, "0"),
)
OPTIONAL_REWARD = (
    ("category", sa.String),
    ("next_price", sa.Integer),
    ("next_price_from", INSTANT),
    ("limit_per_period", sa.Integer),
    ("period_days", sa.Integer),
    ("minimum_tier", sa.String),
    ("voucher_days", sa.Integer),
    ("time_limit_minutes", sa.Integer),
    ("retired_at", INSTANT),
)
REDEMPTION = (("expired_policy", sa.String, "FORFEIT"), ("grace_days", sa.Integer, "0"))
OPTIONAL_REDEMPTION = (
    ("expected_price", sa.Integer),
    ("refund_id", sa.String),
    ("voucher_until", INSTANT),
    ("used_at", INSTANT),
    ("used_by", sa.String),
    ("reserved_until", INSTANT),
    ("ended_at", INSTANT),
    ("ended_by", sa.String),
    ("reference", sa.String),
    ("reason", sa.String),
)
# A reward's first price holds from its making; its id is the reward's, as nobody names a price by its id.
FIRST_PRICES = """
INSERT INTO reward_price (id, reward_id, price, valid_from, set_at, set_by)
SELECT id, id, price, created_at, created_at, 'kinship' FROM reward
"""


def upgrade() -> None:
    with op.batch_alter_table("reward") as table:
        for name, kind, default in REWARD:
            table.add_column(sa.Column(name, kind, nullable=False, server_default=default))
        for name, kind in OPTIONAL_REWARD:
            table.add_column(sa.Column(name, kind, nullable=True))
        table.create_check_constraint("ck_reward_next_price", "next_price IS NULL OR next_price > 0")
    with op.batch_alter_table("redemption") as table:
        for name, kind, default in REDEMPTION:
            table.add_column(sa.Column(name, kind, nullable=False, server_default=default))
        for name, kind in OPTIONAL_REDEMPTION:
            table.add_column(sa.Column(name, kind, nullable=True))
        table.create_foreign_key("redemption_refund_id_fkey", "ledger_posting", ["refund_id"], ["id"])
        table.create_index("ix_redemption_customer", ["customer_id", "redeemed_at", "id"])
        table.create_index("ix_redemption_reserved", ["status", "reserved_until", "id"])
    # The defaults were for the rows of before.
    for changed, columns in (("reward", REWARD), ("redemption", REDEMPTION)):
        with op.batch_alter_table(changed) as table:
            for column, *_ in columns:
                table.alter_column(column, server_default=None)
    op.execute("UPDATE redemption SET ended_at = redeemed_at")
    op.create_table(
        "reward_tag",
        sa.Column("reward_id", sa.String, sa.ForeignKey("reward.id"), primary_key=True),
        sa.Column("tag", sa.String, primary_key=True),
    )
    op.create_table(
        "reward_price",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("reward_id", sa.String, sa.ForeignKey("reward.id"), nullable=False),
        sa.Column("price", sa.Integer, nullable=False),
        sa.Column("valid_from", INSTANT, nullable=False),
        sa.Column("set_at", INSTANT, nullable=False),
        sa.Column("set_by", sa.String, nullable=False),
    )
    op.create_index("ix_reward_price_reward", "reward_price", ["reward_id", "valid_from", "id"])
    op.execute(FIRST_PRICES)
    create_stock_tables()


def create_stock_tables() -> None:
    """What is added to stocks: pieces, and batches of codes."""
    op.create_table(
        "reward_restock",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("reward_id", sa.String, sa.ForeignKey("reward.id"), nullable=False, index=True),
        sa.Column("idempotency_key", sa.String, nullable=False, unique=True),
        sa.Column("change", sa.Integer, nullable=False),
        sa.Column("reason", sa.String, nullable=False),
        sa.Column("stock_after", sa.Integer, nullable=False),
        sa.Column("made_by", sa.String, nullable=False),
        sa.Column("made_at", INSTANT, nullable=False),
    )
    op.create_table(
        "coupon_batch",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("reward_id", sa.String, sa.ForeignKey("reward.id"), nullable=False),
        sa.Column("idempotency_key", sa.String, nullable=False, unique=True),
        sa.Column("fingerprint", sa.String, nullable=False),
        sa.Column("outcomes", sa.JSON, nullable=False),
        sa.Column("added_by", sa.String, nullable=False),
        sa.Column("added_at", INSTANT, nullable=False),
    )
    op.create_table(
        "coupon_code",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("reward_id", sa.String, sa.ForeignKey("reward.id"), nullable=False),
        sa.Column("batch_id", sa.String, sa.ForeignKey("coupon_batch.id"), nullable=False),
        sa.Column("code", sa.String, nullable=False, unique=True),
        sa.Column("redemption_id", sa.String, sa.ForeignKey("redemption.id"), nullable=True, unique=True),
        sa.Column("assigned_at", INSTANT, nullable=True),
    )
    is_free = sa.text("redemption_id IS NULL")
    op.create_index(
        "ix_coupon_code_free", "coupon_code", ["reward_id", "id"], sqlite_where=is_free, postgresql_where=is_free
    )


def downgrade() -> None:
    for table in ("coupon_code", "coupon_batch", "reward_restock", "reward_price", "reward_tag"):
        op.drop_table(table)
    with op.batch_alter_table("redemption") as table:
        table.drop_index("ix_redemption_reserved")
        table.drop_index("ix_redemption_customer")
        table.drop_constraint("redemption_refund_id_fkey", type_="foreignkey")
        for name in (*(name for name, *_ in REDEMPTION), *(name for name, _ in OPTIONAL_REDEMPTION)):
            table.drop_column(name)
    with op.batch_alter_table("reward") as table:
        table.drop_constraint("ck_reward_next_price", type_="check")
        for name in (*(name for name, *_ in REWARD), *(name for name, _ in OPTIONAL_REWARD)):
            table.drop_column(name)
