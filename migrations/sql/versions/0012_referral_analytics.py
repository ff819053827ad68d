"""Standings, pseudonyms and influence of referrers, and the indexes by which figures are counted.

Revision ID: 0012
Revises: 0011
"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

INSTANT = sa.DateTime(timezone=True)
INDEXES = {
    "ix_referral_tree": ("referral", ["program_id", "referrer_id", "claimed_at", "id"]),
    "ix_referral_click_clicked": ("referral_click", ["clicked_at", "code_id"]),
    "ix_referral_click_code": ("referral_click", ["code_id", "clicked_at"]),
    "ix_referral_code_created": ("referral_code", ["program_id", "created_at"]),
    "ix_referral_code_member": ("referral_code", ["program_id", "customer_id", "created_at"]),
}
COUNT = """
INSERT INTO referral_standing (program_id, period, referrer_id, qualified_count, last_qualified_at)
SELECT program_id, {period}, referrer_id, COUNT(*), MAX(qualified_at) FROM referral
WHERE status = 'QUALIFIED' AND qualified_at IS NOT NULL
GROUP BY program_id, referrer_id{grouped}
"""


def upgrade() -> None:
    op.create_table(
        "referral_standing",
        sa.Column("program_id", sa.String, sa.ForeignKey("referral_program.id"), primary_key=True),
        sa.Column("period", sa.String, primary_key=True),
        sa.Column("referrer_id", sa.String, primary_key=True),
        sa.Column("qualified_count", sa.Integer, nullable=False),
        sa.Column("last_qualified_at", INSTANT, nullable=True),
        sa.Column("entry_id", sa.String, nullable=True),
        sa.Column("place", sa.String, nullable=True),
    )
    op.create_index("ix_referral_standing_place", "referral_standing", ["program_id", "period", "place"])
    op.create_table(
        "referral_pseudonym",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("program_id", sa.String, sa.ForeignKey("referral_program.id"), nullable=False),
        sa.Column("customer_id", sa.String, nullable=False),
        sa.Column("pseudonym", sa.String, nullable=False),
        sa.Column("normal", sa.String, nullable=False),
        sa.Column("joined_at", INSTANT, nullable=False),
        sa.UniqueConstraint("program_id", "normal"),
        sa.UniqueConstraint("program_id", "customer_id"),
    )
    op.create_table(
        "referral_influence",
        sa.Column("program_id", sa.String, sa.ForeignKey("referral_program.id"), primary_key=True),
        sa.Column("rank", sa.Integer, primary_key=True),
        sa.Column("customer_id", sa.String, nullable=False),
        sa.Column("influence", sa.Float, nullable=False),
        sa.Column("descendants", sa.Integer, nullable=False),
        sa.Column("computed_at", INSTANT, nullable=False),
    )
    for name, (table, columns) in INDEXES.items():
        op.create_index(name, table, columns)
    is_counted = sa.text("status = 'QUALIFIED'")
    op.create_index(
        "ix_referral_counted",
        "referral",
        ["program_id", "referrer_id", "qualified_at"],
        sqlite_where=is_counted,
        postgresql_where=is_counted,
    )
    is_sqlite = op.get_bind().dialect.name == "sqlite"
    month = "substr(qualified_at, 1, 7)" if is_sqlite else "to_char(qualified_at AT TIME ZONE 'UTC', 'YYYY-MM')"
    for period, grouped in (("'EVER'", ""), (month, f", {month}")):
        op.execute(COUNT.format(period=period, grouped=grouped))


def downgrade() -> None:
    op.drop_index("ix_referral_counted", "referral")
    for name, (table, _) in INDEXES.items():
        op.drop_index(name, table)
    for table in ("referral_influence", "referral_pseudonym", "referral_standing"):
        op.drop_table(table)
