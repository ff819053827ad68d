"""What is known of customers: tags with their history, traits, the tier, and the records of the bank's systems.

Revision ID: 0016
Revises: 0015
"""

from datetime import datetime, timezone

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

# What the bank's people can ask for from the first day on; more are imported.
TRAITS = (
    ("assets", "MONEY", "月日均资产", "Assets, monthly average", 62),
    ("contribution_12m", "MONEY", "近12个月综合贡献", "Contribution over 12 months", 62),
    ("potential", "NUMBER", "潜力评分", "Potential, 0 to 100", 365),
    ("risk_level", "TEXT", "反洗钱风险等级", "AML and KYC risk: LOW, MEDIUM, HIGH", 365),
    ("born", "DATE", "出生年月", "Month of birth", None),
    ("child_born", "DATE", "子女出生年月", "Month of a child's birth", None),
    ("firm_founded", "DATE", "企业成立年月", "Month in which a firm was founded", None),
    ("owns_home", "BOOLEAN", "自有住房", "Owns a home", 365),
    ("occupation", "TEXT", "职业", "Occupation", 730),
    ("city", "TEXT", "城市", "City", 730),
    ("products_held", "NUMBER", "持有产品数", "Products held", 62),
)
DEFINITION = sa.table(
    "trait_definition",
    *(sa.column(name) for name in ("name", "kind", "name_zh", "name_en", "stale_after_days")),
    sa.column("created_at", sa.DateTime(timezone=True)),
)


def upgrade() -> None:
    op.create_table(
        "account",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("customer_id", sa.String(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("currency", sa.String(), nullable=False),
        sa.Column("opened_on", sa.Date(), nullable=True),
        sa.Column("closed_on", sa.Date(), nullable=True),
        sa.Column("legal_basis", sa.String(), nullable=True),
        sa.Column("observed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("source", "key"),
    )
    op.create_index("ix_account_customer", "account", ["customer_id", "id"], unique=False)
    op.create_table(
        "account_transaction",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("customer_id", sa.String(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("account_id", sa.String(), nullable=True),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("legal_basis", sa.String(), nullable=True),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("source", "key"),
    )
    op.create_index(
        "ix_account_transaction_customer", "account_transaction", ["customer_id", "occurred_at", "id"], unique=False
    )
    op.create_table(
        "channel_preference",
        sa.Column("customer_id", sa.String(), nullable=False),
        sa.Column("channel", sa.String(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("is_preferred", sa.Boolean(), nullable=False),
        sa.Column("legal_basis", sa.String(), nullable=True),
        sa.Column("observed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("customer_id", "channel", "source"),
    )
    op.create_table(
        "customer_tier",
        sa.Column("customer_id", sa.String(), nullable=False),
        sa.Column("tier", sa.String(), nullable=False),
        sa.Column("on_watch", sa.Boolean(), nullable=False),
        sa.Column("month", sa.Date(), nullable=True),
        sa.Column("policy_id", sa.String(), nullable=True),
        sa.Column("override_id", sa.String(), nullable=True),
        sa.Column("overridden_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("customer_id"),
    )
    op.create_index(op.f("ix_customer_tier_tier"), "customer_tier", ["tier"], unique=False)
    op.create_table(
        "data_source",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("is_external", sa.Boolean(), nullable=False),
        sa.Column("first_seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "holding",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("customer_id", sa.String(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("product", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(), nullable=False),
        sa.Column("matures_on", sa.Date(), nullable=True),
        sa.Column("legal_basis", sa.String(), nullable=True),
        sa.Column("observed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("source", "key"),
    )
    op.create_index("ix_holding_customer", "holding", ["customer_id", "id"], unique=False)
    op.create_index("ix_holding_maturity", "holding", ["matures_on", "id"], unique=False)
    op.create_table(
        "monthly_balance",
        sa.Column("customer_id", sa.String(), nullable=False),
        sa.Column("month", sa.Date(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("average", sa.BigInteger(), nullable=False),
        sa.Column("closing", sa.BigInteger(), nullable=True),
        sa.Column("contribution", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(), nullable=False),
        sa.Column("legal_basis", sa.String(), nullable=True),
        sa.Column("observed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("customer_id", "month", "source"),
    )
    op.create_table(
        "service_record",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("customer_id", sa.String(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("channel", sa.String(), nullable=False),
        sa.Column("topic", sa.String(), nullable=False),
        sa.Column("employee_id", sa.String(), nullable=True),
        sa.Column("legal_basis", sa.String(), nullable=True),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("source", "key"),
    )
    op.create_index("ix_service_record_customer", "service_record", ["customer_id", "occurred_at", "id"], unique=False)
    op.create_table(
        "tag",
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("name_zh", sa.String(), nullable=False),
        sa.Column("name_en", sa.String(), nullable=False),
        sa.Column("family", sa.String(), nullable=False),
        sa.Column("merged_into", sa.String(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("key"),
    )
    op.create_table(
        "trait_definition",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("name_zh", sa.String(), nullable=False),
        sa.Column("name_en", sa.String(), nullable=False),
        sa.Column("stale_after_days", sa.Integer(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "customer_tag",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("customer_id", sa.String(), nullable=False),
        sa.Column("tag_key", sa.String(), nullable=False),
        sa.Column("family", sa.String(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("confidence", sa.Float(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("end_reason", sa.String(), nullable=True),
        sa.Column("set_by", sa.String(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["tag_key"],
            ["tag.key"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_customer_tag_history", "customer_tag", ["customer_id", "since", "id"], unique=False)
    op.create_index("ix_customer_tag_key", "customer_tag", ["tag_key", "customer_id"], unique=False)
    op.create_index(
        "uq_customer_tag_open",
        "customer_tag",
        ["customer_id", "tag_key"],
        unique=True,
        sqlite_where=sa.text("ended_at IS NULL"),
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.create_table(
        "customer_trait",
        sa.Column("customer_id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("item", sa.String(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=True),
        sa.Column("word", sa.String(), nullable=True),
        sa.Column("day", sa.Date(), nullable=True),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("observed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["name"],
            ["trait_definition.name"],
        ),
        sa.PrimaryKeyConstraint("customer_id", "name", "item"),
    )
    op.create_index("ix_customer_trait_day", "customer_trait", ["name", "day", "customer_id"], unique=False)
    op.create_index("ix_customer_trait_number", "customer_trait", ["name", "number", "customer_id"], unique=False)
    op.create_index("ix_customer_trait_word", "customer_trait", ["name", "word", "customer_id"], unique=False)
    op.bulk_insert(
        DEFINITION,
        [
            dict(zip(("name", "kind", "name_zh", "name_en", "stale_after_days"), row, strict=True))
            | {"created_at": datetime(2026, 11, 28, tzinfo=timezone.utc)}
            for row in TRAITS
        ],
    )


def downgrade() -> None:
    op.drop_index("ix_customer_trait_word", table_name="customer_trait")
    op.drop_index("ix_customer_trait_number", table_name="customer_trait")
    op.drop_index("ix_customer_trait_day", table_name="customer_trait")
    op.drop_table("customer_trait")
    op.drop_index(
        "uq_customer_tag_open",
        table_name="customer_tag",
        sqlite_where=sa.text("ended_at IS NULL"),
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.drop_index("ix_customer_tag_key", table_name="customer_tag")
    op.drop_index("ix_customer_tag_history", table_name="customer_tag")
    op.drop_table("customer_tag")
    op.drop_table("trait_definition")
    op.drop_table("tag")
    op.drop_index("ix_service_record_customer", table_name="service_record")
    op.drop_table("service_record")
    op.drop_table("monthly_balance")
    op.drop_index("ix_holding_maturity", table_name="holding")
    op.drop_index("ix_holding_customer", table_name="holding")
    op.drop_table("holding")
    op.drop_table("data_source")
    op.drop_index(op.f("ix_customer_tier_tier"), table_name="customer_tier")
    op.drop_table("customer_tier")
    op.drop_table("channel_preference")
    op.drop_index("ix_account_transaction_customer", table_name="account_transaction")
    op.drop_table("account_transaction")
    op.drop_index("ix_account_customer", table_name="account")
    op.drop_table("account")
