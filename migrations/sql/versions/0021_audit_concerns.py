"""Whom an audited act concerns, so that words about a person are found when they are erased, wherever they stand.

What partners called a redemption leaves the trail: the redemption itself tells it, until its customer is erased.

Revision ID: 0022
Revises: 0020
"""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

# How entries of before tell whom they concern: where they stand, by what the beginning of area or subject is, and the
# table and column that names the customer of what comes after it.
BY_NAME = (("area", "customer:"), ("subject", "Customer:"), ("subject", "customer:"))
BY_TABLE = (
    ("subject", "adjustment:", "adjustment", "customer_id"),
    ("area", "redemption:", "redemption", "customer_id"),
    ("subject", "referral-reward:", "referral_reward", "customer_id"),
    ("subject", "referral-code:", "referral_code", "customer_id"),
    ("area", "referral:", "referral", "referrer_id"),
    ("subject", "post:", "moderation_case", "author_id"),
    ("subject", "comment:", "moderation_case", "author_id"),
)
REVIEWED = (
    "UPDATE audit_entry SET concerns = (SELECT r.customer_id FROM referral_reward r WHERE r.id = audit_entry.subject) "
    "WHERE area LIKE 'fraud_case:%'"
)
# Who was erased before this, also by an old id.
ERASED = (
    "SELECT c.id FROM customer c LEFT JOIN customer s ON s.id = c.merged_into "
    "WHERE c.erased_at IS NOT NULL OR s.erased_at IS NOT NULL"
)
KEPT = ("id", "area", "actor", "action", "subject", "details", "at")


def upgrade() -> None:
    is_postgresql = op.get_bind().dialect.name == "postgresql"
    op.add_column("audit_entry", sa.Column("concerns", sa.String(), nullable=True))
    drop_guard(is_postgresql=is_postgresql)
    op.execute(REVIEWED)
    for column, prefix in BY_NAME:
        put_concerns(column, prefix, f"substr({column}, {len(prefix) + 1})")
    for column, prefix, table, names in BY_TABLE:
        id = f"substr(audit_entry.{column}, {len(prefix) + 1})"
        put_concerns(column, prefix, f"(SELECT x.{names} FROM {table} x WHERE x.id = {id})")
    without = "(details::jsonb - 'reference')::json" if is_postgresql else "json_remove(details, '$.reference')"
    op.execute(f"UPDATE audit_entry SET details = {without} WHERE action LIKE 'REDEMPTION_%'")
    # Why a review was decided stands in the review, whose words go when any of its customers is erased.
    op.execute("UPDATE audit_entry SET reason = NULL WHERE action = 'CUSTOMER_IDENTITY_DECIDED'")
    op.execute(f"UPDATE audit_entry SET reason = NULL WHERE reason IS NOT NULL AND concerns IN ({ERASED})")
    put_guard((*KEPT, "concerns"), is_postgresql=is_postgresql)
    op.create_index("ix_audit_entry_concerns", "audit_entry", ["concerns"])


def put_concerns(column: str, prefix: str, customer: str) -> None:
    """Say of the entries whose column begins so whom they concern, if that was not said yet."""
    op.execute(
        f"UPDATE audit_entry SET concerns = {customer} WHERE concerns IS NULL AND {column} LIKE '{prefix}%' "  # noqa: S608 - our own names
        f"AND substr({column}, 1, {len(prefix)}) = '{prefix}'"
    )


def downgrade() -> None:
    is_postgresql = op.get_bind().dialect.name == "postgresql"
    op.drop_index("ix_audit_entry_concerns", table_name="audit_entry")
    drop_guard(is_postgresql=is_postgresql)
    op.drop_column("audit_entry", "concerns")
    put_guard(KEPT, is_postgresql=is_postgresql)


def drop_guard(*, is_postgresql: bool) -> None:
    op.execute("DROP TRIGGER audit_entry_no_update" + (" ON audit_entry" if is_postgresql else ""))


def put_guard(kept: tuple[str, ...], *, is_postgresql: bool) -> None:
    """Let the reason of an audited act be taken out, and nothing else of it be changed."""
    if is_postgresql:
        same = " AND ".join(f"NEW.{name}::text IS NOT DISTINCT FROM OLD.{name}::text" for name in kept)
        op.execute(
            "CREATE TRIGGER audit_entry_no_update BEFORE UPDATE ON audit_entry FOR EACH ROW "
            f"WHEN (NOT (NEW.reason IS NULL AND {same})) EXECUTE FUNCTION refuse_change()"
        )
        return
    same = " AND ".join(f"NEW.{name} IS OLD.{name}" for name in kept)
    op.execute(
        f"CREATE TRIGGER audit_entry_no_update BEFORE UPDATE ON audit_entry WHEN NOT (NEW.reason IS NULL AND {same}) "
        "BEGIN SELECT RAISE(ABORT, 'audit_entry is append-only'); END"
    )
