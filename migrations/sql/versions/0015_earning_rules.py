"""Earning rules with versions, conditions and caps; earnings that say why less; anniversaries; steps told as facts.

A rule of before was one for each kind of fact, which earned by its newest version whenever the fact had happened: so
its first version counts from the beginning of time, and each later one from when it was written.

Revision ID: 0015
Revises: 0014
"""

import json
from datetime import datetime, timezone

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

INSTANT = sa.DateTime(timezone=True)
OLD = sa.table(
    "earning_rule_before",
    *(sa.column(name) for name in ("id", "fact_kind", "version", "points", "hold_days", "expires_days")),
    sa.column("active", sa.Boolean),
    sa.column("created_at", INSTANT),
)
RULE = sa.table(
    "earning_rule", *(sa.column(n) for n in ("id", "name_zh", "name_en", "status")), sa.column("created_at", INSTANT)
)
VERSION = sa.table(
    "earning_rule_version",
    *(sa.column(name) for name in ("rule_id", "version")),
    sa.column("definition", sa.JSON),
    sa.column("created_at", INSTANT),
)
TURN = sa.table(
    "earning_rule_turn",
    *(sa.column(name) for name in ("rule_id", "number", "version")),
    sa.column("effective_from", INSTANT),
    sa.column("created_at", INSTANT),
)
WATCH = sa.table("earning_rule_watch", sa.column("kind"), sa.column("rule_id"))
BEGINNING = datetime(1970, 1, 1, tzinfo=timezone.utc)
EARNINGS = """
INSERT INTO earning (id, key, rule_id, version, fact_id, customer_id, wanted_points, points, occurred_at, earned_at)
SELECT e.id, 'earning:' || e.fact_id, f.id, r.version, e.fact_id, e.customer_id, e.points, e.points, a.occurred_at,
  a.recorded_at
FROM earning_before e
JOIN earning_rule_before r ON r.id = e.rule_id
JOIN earning_rule_before f ON f.fact_kind = r.fact_kind AND f.version = 1
JOIN fact a ON a.id = e.fact_id
"""
RULES_BACK = """
INSERT INTO earning_rule (id, fact_kind, version, points, hold_days, expires_days, active, created_at)
VALUES (:id, :fact_kind, :version, :points, :hold_days, :expires_days, :active, :created_at)
"""
# The table of before kept one earning for each fact.
EARNINGS_BACK = """
INSERT INTO earning (id, rule_id, fact_id, customer_id, points)
SELECT e.id, e.rule_id || CASE WHEN e.version = 1 THEN '' ELSE ':' || e.version END, e.fact_id, e.customer_id, e.points
FROM earning_after e
WHERE e.points > 0 AND e.id = (SELECT MIN(o.id) FROM earning_after o WHERE o.fact_id = e.fact_id AND o.points > 0)
"""


def upgrade() -> None:
    op.rename_table("earning", "earning_before")
    op.rename_table("earning_rule", "earning_rule_before")
    create_tables()
    rules_of_before()
    op.execute(EARNINGS)
    op.drop_table("earning_before")
    op.drop_table("earning_rule_before")
    op.add_column("referral", sa.Column("steps_undone", sa.Integer, nullable=True))
    op.add_column("referral_step", sa.Column("attempt", sa.Integer, nullable=True))


def create_tables() -> None:
    op.create_table(
        "earning_rule",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("name_zh", sa.String, nullable=False),
        sa.Column("name_en", sa.String, nullable=False),
        sa.Column("status", sa.String, nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
    )
    op.create_table(
        "earning_rule_version",
        sa.Column("rule_id", sa.String, sa.ForeignKey("earning_rule.id"), primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("definition", sa.JSON, nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
    )
    op.create_table(
        "earning_rule_turn",
        sa.Column("rule_id", sa.String, sa.ForeignKey("earning_rule.id"), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("version", sa.Integer, nullable=True),
        sa.Column("effective_from", INSTANT, nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
    )
    op.create_table(
        "earning_rule_watch",
        sa.Column("kind", sa.String, primary_key=True),
        sa.Column("rule_id", sa.String, sa.ForeignKey("earning_rule.id"), primary_key=True),
    )
    op.create_index("ix_earning_rule_watch_rule", "earning_rule_watch", ["rule_id"])
    op.create_table(
        "earning",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("key", sa.String, nullable=False, unique=True),
        sa.Column("rule_id", sa.String, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("fact_id", sa.String, sa.ForeignKey("fact.id"), nullable=False),
        sa.Column("customer_id", sa.String, nullable=False),
        sa.Column("wanted_points", sa.Integer, nullable=False),
        sa.Column("points", sa.Integer, nullable=False),
        sa.Column("reason", sa.String, nullable=True),
        sa.Column("cap_period", sa.String, nullable=True),
        sa.Column("occurred_at", INSTANT, nullable=False),
        sa.Column("earned_at", INSTANT, nullable=False),
        sa.Column("reversed_at", INSTANT, nullable=True),
        sa.Column("reversal_id", sa.String, sa.ForeignKey("fact.id"), nullable=True),
        sa.UniqueConstraint("rule_id", "fact_id"),
        sa.ForeignKeyConstraint(
            ["rule_id", "version"], ["earning_rule_version.rule_id", "earning_rule_version.version"]
        ),
    )
    op.create_index("ix_earning_fact_id", "earning", ["fact_id"])
    op.create_index("ix_earning_customer", "earning", ["customer_id", "occurred_at", "id"])
    op.create_index("ix_earning_rule", "earning", ["rule_id", "customer_id", "occurred_at"])
    op.create_table(
        "earning_counter",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("points", sa.BigInteger, nullable=False),
        sa.Column("times", sa.Integer, nullable=False),
    )
    op.create_index("ix_fact_kind", "fact", ["kind", "customer_id", "occurred_at", "id"])
    op.create_table(
        "anniversary_search",
        sa.Column("kind", sa.String, primary_key=True),
        sa.Column("done_through", sa.Date, nullable=False),
        sa.Column("target", sa.Date, nullable=True),
        sa.Column("position", sa.String, nullable=False),
    )


def rules_of_before() -> None:
    """One rule for each kind of fact, whose id is that of its first version."""
    connection = op.get_bind()
    rows = connection.execute(sa.select(OLD).order_by(OLD.c.fact_kind, OLD.c.version)).mappings().all()
    active = {row["fact_kind"]: row["version"] for row in rows if row["active"]}
    first: dict[str, str] = {}
    last: dict[str, sa.RowMapping] = {}
    for row in rows:
        kind, version = row["fact_kind"], row["version"]
        last[kind] = row
        if kind not in first:
            first[kind] = row["id"]
            status = "ACTIVE" if kind in active else "PAUSED"
            rule = {"id": row["id"], "name_zh": kind, "name_en": kind, "status": status}
            op.bulk_insert(RULE, [{**rule, "created_at": row["created_at"]}])
            op.bulk_insert(WATCH, [{"kind": kind, "rule_id": row["id"]}])
        # What is wider than a definition may be was never spent so late, nor held so long.
        hold_days = min(max(row["hold_days"], 0), 365)
        definition = {
            "fact_kind": kind,
            "points": min(max(row["points"], 1), 10_000_000),
            "hold_days": hold_days,
            "expires_days": min(max(row["expires_days"], hold_days + 1), 3650),
        }
        named = {"rule_id": first[kind], "version": version}
        op.bulk_insert(VERSION, [{**named, "definition": definition, "created_at": row["created_at"]}])
        turn = {**named, "number": version, "created_at": row["created_at"]}
        op.bulk_insert(TURN, [{**turn, "effective_from": BEGINNING if version == 1 else row["created_at"]}])
    # Where the last version is not the active one, as after a downgrade, that one counts on, or none.
    for kind, row in last.items():
        if active.get(kind) != row["version"]:
            turn = {"rule_id": first[kind], "number": row["version"] + 1, "version": active.get(kind)}
            op.bulk_insert(TURN, [{**turn, "effective_from": row["created_at"], "created_at": row["created_at"]}])


def downgrade() -> None:
    op.drop_column("referral_step", "attempt")
    op.drop_column("referral", "steps_undone")
    op.drop_table("anniversary_search")
    op.drop_index("ix_fact_kind", "fact")
    op.drop_table("earning_counter")
    op.drop_table("earning_rule_watch")
    for index in ("rule", "customer", "fact_id"):
        op.drop_index(f"ix_earning_{index}", "earning")
    op.rename_table("earning", "earning_after")
    op.rename_table("earning_rule", "earning_rule_after")
    tables_of_before()
    versions_back()
    op.execute(EARNINGS_BACK)
    op.drop_table("earning_after")
    op.drop_table("earning_rule_turn")
    op.drop_table("earning_rule_version")
    op.drop_table("earning_rule_after")


def tables_of_before() -> None:
    op.create_table(
        "earning_rule",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("fact_kind", sa.String, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("points", sa.Integer, nullable=False),
        sa.Column("hold_days", sa.Integer, nullable=False),
        sa.Column("expires_days", sa.Integer, nullable=False),
        sa.Column("active", sa.Boolean, nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.UniqueConstraint("fact_kind", "version"),
    )
    op.create_table(
        "earning",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("rule_id", sa.String, sa.ForeignKey("earning_rule.id"), nullable=False),
        sa.Column("fact_id", sa.String, sa.ForeignKey("fact.id"), nullable=False, unique=True),
        sa.Column("customer_id", sa.String, nullable=False),
        sa.Column("points", sa.Integer, nullable=False),
    )


# What a rule of before could not say; without it a version would give more than was decided.
LOST = ("conditions", "caps", "per_unit", "valid_from", "valid_until", "reversed_by")


def versions_back() -> None:
    """Versions by kind of fact, numbered anew in the order in which they were written.

    The last of each kind that counts now by an active rule is active, if it means the same without what is lost.
    """
    connection = op.get_bind()
    counting = versions_that_count(connection)
    rows = connection.execute(sa.select(VERSION).order_by(VERSION.c.created_at, VERSION.c.rule_id, VERSION.c.version))
    by_kind: dict[str, list[dict[str, object]]] = {}
    for row in rows.mappings().all():
        given = row["definition"] if isinstance(row["definition"], dict) else json.loads(row["definition"])
        points = given.get("points") or (given.get("per_unit") or {}).get("maximum")
        same = by_kind.setdefault(given["fact_kind"], [])
        suffix = "" if row["version"] == 1 else f":{row['version']}"
        counts = counting.get(row["rule_id"]) == row["version"] and not any(given.get(name) for name in LOST)
        if counts:
            for one in same:
                one["active"] = False
        same.append(
            {
                "id": f"{row['rule_id']}{suffix}",
                "fact_kind": given["fact_kind"],
                "version": len(same) + 1,
                "points": points,
                "hold_days": given.get("hold_days", 0),
                "expires_days": given.get("expires_days", 730),
                "active": counts,
                "created_at": row["created_at"],
            }
        )
    for same in by_kind.values():
        for one in same:
            connection.execute(sa.text(RULES_BACK).bindparams(sa.bindparam("created_at", type_=INSTANT)), one)


def versions_that_count(connection: sa.Connection) -> dict[str, int]:
    """The version of the last turn of each active rule; turns come in the order of their numbers."""
    rules = sa.table("earning_rule_after", sa.column("id"), sa.column("status"))
    active = sa.select(rules.c.id).where(rules.c.status == "ACTIVE")
    turns = sa.select(TURN.c.rule_id, TURN.c.version).where(TURN.c.rule_id.in_(active), TURN.c.version.is_not(None))
    ordered = turns.order_by(TURN.c.rule_id, TURN.c.number)
    return {rule_id: version for rule_id, version in connection.execute(ordered).all()}
