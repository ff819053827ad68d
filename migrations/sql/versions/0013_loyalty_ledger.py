"""Entries numbered with their running balance; lots that come from lots; adjustments, transfers and day closes.

Revision ID: 0013
Revises: 0012
"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

INSTANT = sa.DateTime(timezone=True)
NAMES = {"uq": "uq_%(table_name)s_%(column_0_name)s"}
# Within an account, entries were made in the order of their ids.
NUMBER = """
UPDATE ledger_entry SET position = numbered.position, balance_after = numbered.balance_after
FROM (
  SELECT entry.id AS id, ROW_NUMBER() OVER chain AS position, SUM(entry.points) OVER chain AS balance_after
  FROM ledger_entry AS entry JOIN ledger_account AS account ON account.id = entry.account_id
  WHERE account.customer_id IS NOT NULL
  WINDOW chain AS (PARTITION BY entry.account_id ORDER BY entry.id ROWS UNBOUNDED PRECEDING)
) AS numbered
WHERE numbered.id = ledger_entry.id
"""
COUNT = """
UPDATE ledger_account
SET last_position = (SELECT COUNT(*) FROM ledger_entry WHERE ledger_entry.account_id = ledger_account.id)
WHERE customer_id IS NOT NULL
"""


def is_postgresql() -> bool:
    return op.get_bind().dialect.name == "postgresql"


def allow_changes() -> None:
    """Take the triggers of migration 0002 from the entries, which are numbered in this transaction."""
    if is_postgresql():
        op.execute("DROP TRIGGER ledger_entry_append_only ON ledger_entry")
        return
    for verb in ("update", "delete"):
        op.execute(f"DROP TRIGGER ledger_entry_no_{verb}")


def refuse_changes() -> None:
    if is_postgresql():
        op.execute(
            "CREATE TRIGGER ledger_entry_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_entry "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )
        return
    for verb in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER ledger_entry_no_{verb.lower()} BEFORE {verb} ON ledger_entry "
            "BEGIN SELECT RAISE(ABORT, 'ledger_entry is append-only'); END"
        )


def upgrade() -> None:
    op.add_column("ledger_account", sa.Column("last_position", sa.BigInteger, nullable=True))
    op.add_column("ledger_account", sa.Column("closed_at", INSTANT, nullable=True))
    op.add_column("ledger_entry", sa.Column("position", sa.BigInteger, nullable=True))
    op.add_column("ledger_entry", sa.Column("balance_after", sa.BigInteger, nullable=True))
    allow_changes()
    op.execute(NUMBER)
    refuse_changes()
    op.execute(COUNT)
    op.drop_index("ix_ledger_entry_account", "ledger_entry")
    op.create_index("ux_ledger_entry_position", "ledger_entry", ["account_id", "position"], unique=True)
    op.create_index("ix_ledger_posting_booked_at", "ledger_posting", ["booked_at"])
    change_lots()
    create_tables()


def one_lot_each() -> str:
    """The name of the constraint that a posting fills one lot: PostgreSQL's own, or the one that Alembic gives it."""
    return "ledger_lot_posting_id_key" if is_postgresql() else "uq_ledger_lot_posting_id"


def change_lots() -> None:
    """A transfer fills several lots, each with the name of the one that it comes from."""
    op.drop_index("ix_ledger_lot_burn", "ledger_lot")
    with op.batch_alter_table("ledger_lot", naming_convention=NAMES) as table:
        table.drop_constraint(one_lot_each(), type_="unique")
        table.add_column(sa.Column("source_lot_id", sa.String, nullable=True))
        table.create_foreign_key("fk_ledger_lot_source", "ledger_lot", ["source_lot_id"], ["id"])
    op.create_index("ix_ledger_lot_posting_id", "ledger_lot", ["posting_id"])
    op.create_index("ix_ledger_lot_customer", "ledger_lot", ["customer_id", "id"])
    for name, columns, condition in (
        ("ix_ledger_lot_burn", ["customer_id", "expires_at", "earned_at", "id"], "remaining > 0"),
        ("ix_ledger_lot_pending", ["customer_id", "available_at", "id"], "NOT released"),
    ):
        where = sa.text(condition)
        op.create_index(name, "ledger_lot", columns, sqlite_where=where, postgresql_where=where)


def create_tables() -> None:
    op.create_table(
        "adjustment",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("customer_id", sa.String, nullable=False),
        sa.Column("points", sa.BigInteger, nullable=False),
        sa.Column("life_days", sa.Integer, nullable=False),
        sa.Column("reason", sa.String, nullable=True),
        sa.Column("status", sa.String, nullable=False),
        sa.Column("idempotency_key", sa.String, nullable=False),
        sa.Column("requested_by", sa.String, nullable=False),
        sa.Column("requested_at", INSTANT, nullable=False),
        sa.Column("decided_by", sa.String, nullable=True),
        sa.Column("decided_at", INSTANT, nullable=True),
        sa.Column("decision_reason", sa.String, nullable=True),
        sa.Column("posting_id", sa.String, sa.ForeignKey("ledger_posting.id"), nullable=True),
        sa.UniqueConstraint("requested_by", "idempotency_key"),
    )
    op.create_index("ix_adjustment_status", "adjustment", ["status", "requested_at", "id"])
    op.create_index("ix_adjustment_customer", "adjustment", ["customer_id", "requested_at"])
    op.create_table(
        "points_transfer",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("sender_id", sa.String, nullable=False),
        sa.Column("receiver_id", sa.String, nullable=False),
        sa.Column("points", sa.BigInteger, nullable=False),
        sa.Column("note", sa.String, nullable=True),
        sa.Column("idempotency_key", sa.String, nullable=False),
        sa.Column("posting_id", sa.String, sa.ForeignKey("ledger_posting.id"), nullable=True),
        sa.Column("transferred_at", INSTANT, nullable=False),
        sa.UniqueConstraint("sender_id", "idempotency_key"),
    )
    op.create_index("ix_points_transfer_sender", "points_transfer", ["sender_id", "transferred_at"])
    op.create_index("ix_points_transfer_receiver", "points_transfer", ["receiver_id", "transferred_at"])
    op.create_table(
        "day_close",
        sa.Column("day", sa.Date, primary_key=True),
        sa.Column("time_zone", sa.String, nullable=False),
        sa.Column("ends_at", INSTANT, nullable=False),
        sa.Column("phase", sa.String, nullable=False),
        sa.Column("cursor", sa.String, nullable=False),
        sa.Column("activated_lots", sa.Integer, nullable=False),
        sa.Column("activated_points", sa.BigInteger, nullable=False),
        sa.Column("expired_lots", sa.Integer, nullable=False),
        sa.Column("expired_points", sa.BigInteger, nullable=False),
        sa.Column("opened_at", INSTANT, nullable=False),
        sa.Column("busy_until", INSTANT, nullable=True),
        sa.Column("closed_at", INSTANT, nullable=True),
        sa.Column("holds", sa.Boolean, nullable=True),
        sa.Column("entries", sa.BigInteger, nullable=True),
        sa.Column("findings", sa.JSON, nullable=False),
    )


def downgrade() -> None:
    for table in ("day_close", "points_transfer", "adjustment"):
        op.drop_table(table)
    for index in ("pending", "burn", "customer", "posting_id"):
        op.drop_index(f"ix_ledger_lot_{index}", "ledger_lot")
    with op.batch_alter_table("ledger_lot") as table:
        table.drop_constraint("fk_ledger_lot_source", type_="foreignkey")
        table.drop_column("source_lot_id")
        table.create_unique_constraint(one_lot_each(), ["posting_id"])
    op.create_index("ix_ledger_lot_burn", "ledger_lot", ["customer_id", "expires_at", "earned_at", "id"])
    op.drop_index("ix_ledger_posting_booked_at", "ledger_posting")
    op.drop_index("ux_ledger_entry_position", "ledger_entry")
    op.create_index("ix_ledger_entry_account", "ledger_entry", ["account_id", "id"])
    allow_changes()
    for column in ("balance_after", "position"):
        op.drop_column("ledger_entry", column)
    refuse_changes()
    for column in ("closed_at", "last_position"):
        op.drop_column("ledger_account", column)
