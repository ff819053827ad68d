"""Personal data is sealed by keys of each customer; identities, reviews, access, consent, erasures and merges.

What stands in plain text is sealed here, in the transaction of the migration, by PERSONAL_DATA_KEYS and
IDENTITY_HASH_KEY of the environment.

Revision ID: 0017
Revises: 0016
"""

from datetime import date, datetime, timezone
from typing import Any

import sqlalchemy as sa
from alembic import op

from core.sealing import KeyRing, blind_hash, new_data_key, seal, unseal
from core.settings import Settings

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

COLUMNS = ("full_name", "phone", "email", "birth_date")
CUSTOMER = sa.table("customer", *(sa.column(name) for name in ("id", *COLUMNS, "phone_hash", "email_hash")))
PLAIN = sa.table(
    "customer", *(sa.column(name) for name in ("id", "full_name", "phone", "email")), sa.column("born", sa.Date())
)
KEY = sa.table("personal_key", *(sa.column(name) for name in ("customer_id", "wrapped", "key_id")))
INSTANT = sa.DateTime(timezone=True)
TRAIT = sa.table(
    "customer_trait",
    *(sa.column(name) for name in ("customer_id", "name", "item", "source")),
    sa.column("day", sa.Date()),
    sa.column("observed_at", INSTANT),
    sa.column("recorded_at", INSTANT),
)
BATCH = 1_000


def upgrade() -> None:
    op.create_table(
        "break_glass",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("customer_id", sa.String(), nullable=False),
        sa.Column("employee_id", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("granted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_break_glass_customer", "break_glass", ["customer_id", "granted_at", "id"], unique=False)
    op.create_index("ix_break_glass_employee", "break_glass", ["employee_id", "customer_id", "until"], unique=False)
    op.create_index("ix_break_glass_granted", "break_glass", ["granted_at", "id"], unique=False)
    op.create_table(
        "consent",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("customer_id", sa.String(), nullable=False),
        sa.Column("purpose", sa.String(), nullable=False),
        sa.Column("channel", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("evidence", sa.String(), nullable=True),
        sa.Column("given_by", sa.String(), nullable=False),
        sa.Column("given_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "ix_consent_customer", "consent", ["customer_id", "purpose", "channel", "given_at", "id"], unique=False
    )
    op.create_table(
        "customer_erasure",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("customer_id", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("requested_by", sa.String(), nullable=False),
        sa.Column("requested_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("places", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("customer_id"),
    )
    op.create_table(
        "customer_merge",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("survivor_id", sa.String(), nullable=False),
        sa.Column("merged_id", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("requested_by", sa.String(), nullable=False),
        sa.Column("requested_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("moved", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("merged_id"),
    )
    op.create_index(op.f("ix_customer_merge_survivor_id"), "customer_merge", ["survivor_id"], unique=False)
    op.create_table(
        "erased_alias",
        sa.Column("hash", sa.String(), nullable=False),
        sa.Column("erased_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("hash"),
    )
    op.create_table(
        "identity_review",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("line", sa.Integer(), nullable=False),
        sa.Column("causes", sa.JSON(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("found_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("customer_id", sa.String(), nullable=True),
        sa.Column("decided_by", sa.String(), nullable=True),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("reason", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_identity_review_row", "identity_review", ["source", "key"], unique=False)
    op.create_index("ix_identity_review_status", "identity_review", ["status", "found_at", "id"], unique=False)
    op.create_table(
        "identity_review_customer",
        sa.Column("review_id", sa.String(), nullable=False),
        sa.Column("customer_id", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["review_id"],
            ["identity_review.id"],
        ),
        sa.PrimaryKeyConstraint("review_id", "customer_id"),
    )
    op.create_index(
        op.f("ix_identity_review_customer_customer_id"), "identity_review_customer", ["customer_id"], unique=False
    )
    op.create_table(
        "personal_key",
        sa.Column("customer_id", sa.String(), nullable=False),
        sa.Column("wrapped", sa.String(), nullable=False),
        sa.Column("key_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["customer_id"],
            ["customer.id"],
        ),
        sa.PrimaryKeyConstraint("customer_id"),
    )
    op.create_index(op.f("ix_personal_key_key_id"), "personal_key", ["key_id"], unique=False)
    with op.batch_alter_table("customer") as batch:
        batch.add_column(sa.Column("phone_hash", sa.String(), nullable=True))
        batch.add_column(sa.Column("email_hash", sa.String(), nullable=True))
        batch.add_column(sa.Column("phone_verified", sa.Boolean(), nullable=False, server_default=sa.false()))
        batch.add_column(sa.Column("email_verified", sa.Boolean(), nullable=False, server_default=sa.false()))
        batch.add_column(sa.Column("merged_into", sa.String(), nullable=True))
        batch.add_column(sa.Column("erased_at", INSTANT, nullable=True))
        batch.alter_column(
            "birth_date",
            existing_type=sa.Date(),
            type_=sa.String(),
            existing_nullable=True,
            postgresql_using="birth_date::text",
        )
        batch.drop_index("ix_customer_email")
        batch.drop_index("ix_customer_phone")
        batch.create_index("ix_customer_email_hash", ["email_hash"], unique=False)
        batch.create_index("ix_customer_phone_hash", ["phone_hash"], unique=False)
    with op.batch_alter_table("customer") as batch:
        batch.alter_column("phone_verified", server_default=None)
        batch.alter_column("email_verified", server_default=None)
    with op.batch_alter_table("import_batch") as batch:
        batch.add_column(sa.Column("reviewed", sa.Integer(), nullable=False, server_default="0"))
    with op.batch_alter_table("import_batch") as batch:
        batch.alter_column("reviewed", server_default=None)
    op.create_index("ix_audit_entry_subject", "audit_entry", ["subject"])
    op.create_index("ix_audit_entry_actor", "audit_entry", ["actor"])
    allow_blanking()
    # What is settled needs no words about a person any more.
    speaking = "'act.audited', 'notice.owed', 'content.deleted', 'reports.resolved'"
    op.execute(f"UPDATE outbox SET payload = '{{}}' WHERE settled_at IS NOT NULL AND topic IN ({speaking})")
    seal_all()


KEPT = ("id", "area", "actor", "action", "subject", "details", "at")


def allow_blanking() -> None:
    """Let the reason of an audited act be taken out, and nothing else of it be changed."""
    same = " AND ".join(f"NEW.{name}{{0}} = OLD.{name}{{0}}" for name in KEPT)
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP TRIGGER audit_entry_append_only ON audit_entry")
        op.execute(
            "CREATE TRIGGER audit_entry_append_only BEFORE DELETE OR TRUNCATE ON audit_entry "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )
        op.execute(
            "CREATE TRIGGER audit_entry_no_update BEFORE UPDATE ON audit_entry FOR EACH ROW "
            f"WHEN (NOT (NEW.reason IS NULL AND {same.format('::text')})) EXECUTE FUNCTION refuse_change()"
        )
        return
    op.execute("DROP TRIGGER audit_entry_no_update")
    op.execute(
        f"CREATE TRIGGER audit_entry_no_update BEFORE UPDATE ON audit_entry "
        f"WHEN NOT (NEW.reason IS NULL AND {same.format('')}) "
        "BEGIN SELECT RAISE(ABORT, 'audit_entry is append-only'); END"
    )


def forbid_blanking() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP TRIGGER audit_entry_no_update ON audit_entry")
        op.execute("DROP TRIGGER audit_entry_append_only ON audit_entry")
        op.execute(
            "CREATE TRIGGER audit_entry_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_entry "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )
        return
    op.execute("DROP TRIGGER audit_entry_no_update")
    op.execute(
        "CREATE TRIGGER audit_entry_no_update BEFORE UPDATE ON audit_entry "
        "BEGIN SELECT RAISE(ABORT, 'audit_entry is append-only'); END"
    )


def rows_after(last: str) -> list[sa.Row[Any]]:
    """The next customers of whom something personal is known."""
    known = sa.or_(*(CUSTOMER.c[name].is_not(None) for name in COLUMNS))
    statement = sa.select(CUSTOMER).where(CUSTOMER.c.id > last, known).order_by(CUSTOMER.c.id).limit(BATCH)
    return list(op.get_bind().execute(statement))


def seal_all() -> None:
    """Seal what is there, batch by batch; where nothing is, no key is needed."""
    last, settings = "", None
    while rows := rows_after(last):
        settings = settings or Settings()
        seal_batch(rows, settings.key_ring, settings.identity_hash_key.get_secret_value())
        last = rows[-1].id


def seal_batch(rows: list[sa.Row[Any]], ring: KeyRing, hash_key: str) -> None:
    bind, keys = op.get_bind(), {row.id: new_data_key() for row in rows}
    wrapped = [{"customer_id": id, "wrapped": ring.wrap(key, id), "key_id": ring.newest} for id, key in keys.items()]
    bind.execute(sa.insert(KEY), wrapped)
    sealed = [
        {
            "of": row.id,
            **{name: seal_one(keys[row.id], row, name) for name in COLUMNS},
            "phone_hash": row.phone and blind_hash(hash_key, "phone", row.phone),
            "email_hash": row.email and blind_hash(hash_key, "email", row.email),
        }
        for row in rows
    ]
    bind.execute(sa.update(CUSTOMER).where(CUSTOMER.c.id == sa.bindparam("of")).values(bound()), sealed)
    put_births([row for row in rows if row.birth_date])


def bound() -> dict[str, sa.BindParameter[Any]]:
    return {name: sa.bindparam(name) for name in (*COLUMNS, "phone_hash", "email_hash")}


def seal_one(key: bytes, row: sa.Row[Any], name: str) -> str | None:
    value = getattr(row, name)
    return None if value is None else seal(key, value, owner=row.id, column=name)


def put_births(rows: list[sa.Row[Any]]) -> None:
    """The month of birth as a trait, where no source has told one."""
    bind, now = op.get_bind(), datetime.now(timezone.utc)
    told = sa.select(TRAIT.c.customer_id).where(
        TRAIT.c.name == "born", TRAIT.c.customer_id.in_([row.id for row in rows])
    )
    known = set(bind.scalars(told))
    months = [
        {
            "customer_id": row.id,
            "name": "born",
            "item": "",
            "source": "profile",
            "day": date.fromisoformat(row.birth_date).replace(day=1),
            "observed_at": now,
            "recorded_at": now,
        }
        for row in rows
        if row.id not in known
    ]
    if months:
        bind.execute(sa.insert(TRAIT), months)


def downgrade() -> None:
    forbid_blanking()
    op.drop_index("ix_audit_entry_actor", table_name="audit_entry")
    op.drop_index("ix_audit_entry_subject", table_name="audit_entry")
    # The column gets its type by being made anew: SQLite would make a number of a text that becomes a date.
    op.add_column("customer", sa.Column("born", sa.Date(), nullable=True))
    open_all()
    op.drop_column("import_batch", "reviewed")
    with op.batch_alter_table("customer") as batch:
        batch.drop_index("ix_customer_phone_hash")
        batch.drop_index("ix_customer_email_hash")
        batch.create_index("ix_customer_phone", ["phone"], unique=False)
        batch.create_index("ix_customer_email", ["email"], unique=False)
        batch.drop_column("birth_date")
        for name in ("erased_at", "merged_into", "email_verified", "phone_verified", "email_hash", "phone_hash"):
            batch.drop_column(name)
    op.alter_column("customer", "born", new_column_name="birth_date")
    op.drop_index(op.f("ix_personal_key_key_id"), table_name="personal_key")
    op.drop_table("personal_key")
    op.drop_index(op.f("ix_identity_review_customer_customer_id"), table_name="identity_review_customer")
    op.drop_table("identity_review_customer")
    op.drop_index("ix_identity_review_status", table_name="identity_review")
    op.drop_index("ix_identity_review_row", table_name="identity_review")
    op.drop_table("identity_review")
    op.drop_table("erased_alias")
    op.drop_index(op.f("ix_customer_merge_survivor_id"), table_name="customer_merge")
    op.drop_table("customer_merge")
    op.drop_table("customer_erasure")
    op.drop_index("ix_consent_customer", table_name="consent")
    op.drop_table("consent")
    op.drop_index("ix_break_glass_granted", table_name="break_glass")
    op.drop_index("ix_break_glass_employee", table_name="break_glass")
    op.drop_index("ix_break_glass_customer", table_name="break_glass")
    op.drop_table("break_glass")


def open_all() -> None:
    """Write in plain text what is sealed, so that the schema before can read it."""
    last, bind = "", op.get_bind()
    while rows := rows_after(last):
        ring = Settings().key_ring
        statement = sa.select(KEY).where(KEY.c.customer_id.in_([row.id for row in rows]))
        keys = {
            row.customer_id: ring.unwrap(row.key_id, row.wrapped, row.customer_id) for row in bind.execute(statement)
        }
        plain = [opened(keys[row.id], row) for row in rows]
        names = ("full_name", "phone", "email")
        values = {name: sa.bindparam(name) for name in names} | {"born": sa.bindparam("born", type_=sa.Date())}
        bind.execute(sa.update(PLAIN).where(PLAIN.c.id == sa.bindparam("of")).values(values), plain)
        last = rows[-1].id


def opened(key: bytes, row: sa.Row[Any]) -> dict[str, object]:
    known = {name: value for name in COLUMNS if (value := getattr(row, name)) is not None}
    plain: dict[str, object] = {name: None for name in ("full_name", "phone", "email", "birth_date")}
    plain |= {name: unseal(key, value, owner=row.id, column=name) for name, value in known.items()}
    born = plain.pop("birth_date")
    return plain | {"of": row.id, "born": born and date.fromisoformat(str(born))}
