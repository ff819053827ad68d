"""Service breaks with their first rules, surveys with their first policy, and the trait of the newest score.

Revision ID: 0031
Revises: 0025
"""

from datetime import datetime, timezone
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None

NOW = datetime(2026, 11, 28, tzinfo=timezone.utc)
RULES = (
    (
        "42fdce90-99cb-5ecf-b6f0-fd307c74852e",
        "30天内兑换失败两次",
        "A redemption failed twice in 30 days",
        {"event": {"kind": "REDEMPTION_FAILED", "within_days": 30, "at_least": 2}},
        None,
    ),
    (
        "104a72a6-e471-5aa4-874c-433cd56c531d",
        "报名中断",
        "An abandoned registration",
        {"event": {"kind": "REGISTRATION_ABANDONED", "within_days": 30}},
        "event_id",
    ),
    (
        "3be9641d-3f08-5610-a9f6-110d381a9808",
        "同一投诉转办被退回两次",
        "A hand-off declined twice in one case",
        {"event": {"kind": "HAND_OFF_DECLINED", "within_days": 90, "at_least": 2}},
        "complaint",
    ),
    (
        "ee8b8a59-a659-5c47-9363-8c8ab50d21ac",
        "投诉首次回复超时",
        "A late first answer to a complaint",
        {"event": {"kind": "COMPLAINT_FIRST_RESPONSE_LATE", "within_days": 30}},
        "complaint",
    ),
)
POLICY_ID = "58fab4d1-3162-544d-a9ea-a501be0cc389"
SURVEYS = {
    "quiet_days": 14,
    "expires_days": 14,
    "latest_days": 7,
    "asked": [
        {"occasion": "EVENT", "kind": "NPS", "percent": 100},
        {"occasion": "CASE", "kind": "CSAT", "percent": 100},
        {"occasion": "REDEMPTION", "kind": "CSAT", "percent": 100},
    ],
}
TIME = sa.DateTime(timezone=True)
RULE = sa.table(
    "service_break_rule",
    *(sa.column(name) for name in ("id", "name_zh", "name_en", "status", "version", "created_by")),
    sa.column("applies_from", TIME),
    sa.column("created_at", TIME),
)
VERSION = sa.table(
    "service_break_rule_version",
    *(sa.column(name) for name in ("rule_id", "version", "created_by")),
    sa.column("definition", sa.JSON()),
    sa.column("created_at", TIME),
)
WATCH = sa.table("service_break_watch", sa.column("kind"), sa.column("rule_id"))
POLICY = sa.table(
    "survey_policy",
    *(sa.column(name) for name in ("id", "number", "created_by", "activated_by")),
    sa.column("definition", sa.JSON()),
    sa.column("created_at", TIME),
    sa.column("activated_at", TIME),
)
CHOICE = sa.table("survey_policy_choice", sa.column("name"), sa.column("policy_id"))
TRAIT = sa.table(
    "trait_definition",
    *(sa.column(name) for name in ("name", "kind", "name_zh", "name_en", "stale_after_days")),
    sa.column("created_at", TIME),
)


def definition_of(condition: dict[str, Any], same: str | None) -> dict[str, Any]:
    return {"condition": condition, "same": same, "recover_days": 3, "expires_days": 30}


def upgrade() -> None:
    op.create_index("ix_fact_kind_time", "fact", ["kind", "occurred_at", "id"], unique=False)
    op.create_table(
        "service_break_rule",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("name_zh", sa.String(), nullable=False),
        sa.Column("name_en", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=True),
        sa.Column("applies_from", TIME, nullable=True),
        sa.Column("created_by", sa.String(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "service_break_rule_version",
        sa.Column("rule_id", sa.String(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("definition", sa.JSON(), nullable=False),
        sa.Column("created_by", sa.String(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(["rule_id"], ["service_break_rule.id"]),
        sa.PrimaryKeyConstraint("rule_id", "version"),
    )
    op.create_table(
        "service_break_watch",
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("rule_id", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["rule_id"], ["service_break_rule.id"]),
        sa.PrimaryKeyConstraint("kind", "rule_id"),
    )
    op.create_table(
        "service_break",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("rule_id", sa.String(), nullable=False),
        sa.Column("rule_version", sa.Integer(), nullable=False),
        sa.Column("customer_id", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("broke_at", TIME, nullable=False),
        sa.Column("opened_at", TIME, nullable=False),
        sa.Column("due_at", TIME, nullable=False),
        sa.Column("expires_at", TIME, nullable=False),
        sa.Column("ended_at", TIME, nullable=True),
        sa.Column("recovered_by", sa.String(), nullable=True),
        sa.Column("actions", sa.JSON(), nullable=False),
        sa.Column("note", sa.String(), nullable=True),
        sa.Column("repair_seconds", sa.Integer(), nullable=True),
        sa.Column("next_survey_id", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(["rule_id"], ["service_break_rule.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("rule_id", "customer_id", "subject"),
    )
    op.create_index("ix_service_break_customer", "service_break", ["customer_id", "opened_at", "id"], unique=False)
    op.create_index("ix_service_break_status", "service_break", ["status", "opened_at", "id"], unique=False)
    op.create_index("ix_service_break_opened", "service_break", ["opened_at", "rule_id"], unique=False)
    op.create_index("ix_service_break_survey", "service_break", ["next_survey_id"], unique=False)
    op.create_table(
        "service_break_fact",
        sa.Column("rule_id", sa.String(), nullable=False),
        sa.Column("fact_id", sa.String(), nullable=False),
        sa.Column("break_id", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["rule_id"], ["service_break_rule.id"]),
        sa.ForeignKeyConstraint(["break_id"], ["service_break.id"]),
        sa.PrimaryKeyConstraint("rule_id", "fact_id"),
    )
    op.create_index("ix_service_break_fact_break", "service_break_fact", ["break_id"], unique=False)
    op.create_table(
        "service_break_sweep",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("occurred_at", TIME, nullable=True),
        sa.Column("fact_id", sa.String(), nullable=False),
        sa.Column("facts", sa.Integer(), nullable=False),
        sa.Column("found", sa.Integer(), nullable=False),
        sa.Column("opened_at", TIME, nullable=False),
        sa.Column("busy_until", TIME, nullable=True),
        sa.Column("finished_at", TIME, nullable=True),
        sa.PrimaryKeyConstraint("day"),
    )
    op.create_table(
        "service_standing",
        sa.Column("customer_id", sa.String(), nullable=False),
        sa.Column("invited_at", TIME, nullable=True),
        sa.PrimaryKeyConstraint("customer_id"),
    )
    op.create_table(
        "survey_policy",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("definition", sa.JSON(), nullable=False),
        sa.Column("created_by", sa.String(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("activated_by", sa.String(), nullable=True),
        sa.Column("activated_at", TIME, nullable=True),
        sa.Column("retired_at", TIME, nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("number"),
    )
    op.create_table(
        "survey_policy_choice",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("policy_id", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["policy_id"], ["survey_policy.id"]),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "survey",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("customer_id", sa.String(), nullable=False),
        sa.Column("occasion", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("policy_id", sa.String(), nullable=False),
        sa.Column("community_id", sa.String(), nullable=True),
        sa.Column("invited_at", TIME, nullable=False),
        sa.Column("expires_at", TIME, nullable=False),
        sa.Column("answered_at", TIME, nullable=True),
        sa.Column("answered_month", sa.Date(), nullable=True),
        sa.Column("score", sa.Integer(), nullable=True),
        sa.Column("comment", sa.String(), nullable=True),
        sa.Column("tier", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(["policy_id"], ["survey_policy.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("customer_id", "occasion", "subject"),
    )
    op.create_index("ix_survey_customer", "survey", ["customer_id", "answered_at", "id"], unique=False)
    op.create_index("ix_survey_answered", "survey", ["answered_at", "kind"], unique=False)
    op.create_index("ix_survey_invited", "survey", ["invited_at"], unique=False)
    fill()


def fill() -> None:
    """The first rules and the first policy, which administrators change later; the trait, where no import made it."""
    by = {"created_by": "migration", "created_at": NOW}
    op.bulk_insert(
        RULE,
        [
            {"id": id, "name_zh": zh, "name_en": en, "status": "ACTIVE", "version": 1, "applies_from": NOW} | by
            for id, zh, en, _, _ in RULES
        ],
    )
    op.bulk_insert(
        VERSION,
        [
            {"rule_id": id, "version": 1, "definition": definition_of(condition, same)} | by
            for id, _, _, condition, same in RULES
        ],
    )
    op.bulk_insert(WATCH, [{"kind": condition["event"]["kind"], "rule_id": id} for id, _, _, condition, _ in RULES])
    first = {"id": POLICY_ID, "number": 1, "definition": SURVEYS, "activated_by": "migration", "activated_at": NOW}
    op.bulk_insert(POLICY, [first | by])
    op.bulk_insert(CHOICE, [{"name": "SURVEYS", "policy_id": POLICY_ID}])
    has_trait = sa.select(TRAIT.c.name).where(TRAIT.c.name == "nps")
    if op.get_bind().execute(has_trait).first() is None:
        trait = {"name": "nps", "kind": "NUMBER", "name_zh": "推荐意愿评分", "name_en": "Would recommend us, 0 to 10"}
        op.bulk_insert(TRAIT, [trait | {"stale_after_days": 365, "created_at": NOW}])


def downgrade() -> None:
    op.drop_table("survey")
    op.drop_table("survey_policy_choice")
    op.drop_table("survey_policy")
    op.drop_table("service_standing")
    op.drop_table("service_break_sweep")
    op.drop_table("service_break_fact")
    op.drop_table("service_break")
    op.drop_table("service_break_watch")
    op.drop_table("service_break_rule_version")
    op.drop_table("service_break_rule")
    op.drop_index("ix_fact_kind_time", table_name="fact")
