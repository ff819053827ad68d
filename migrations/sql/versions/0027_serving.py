"""Serving each tier: interactions, follow-ups, action plans, entitlements, and how tasks end.

Revision ID: 0027
Revises: 0025
"""

from datetime import datetime, timezone
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None

NOW = datetime(2026, 11, 29, tzinfo=timezone.utc)
FIRST = {
    "ENTITLEMENTS": "11bbe991-ddc3-5659-af87-15c736ea59a8",
    "FOLLOW_UPS": "dc6a98c8-a105-5bf2-be15-77f3d9288ca9",
}
ANY = ["FACE_TO_FACE", "PHONE", "DIGITAL"]
# What the models said when this was written; later versions are written by administrators.
ENTITLEMENTS = {
    "tiers": {
        "MASS": {"own_manager": False, "priority": 0, "early_hours": 0, "content": "BASIC"},
        "POTENTIAL": {"own_manager": True, "priority": 1, "early_hours": 24, "content": "EXTENDED"},
        "VIP": {"own_manager": True, "priority": 2, "early_hours": 48, "content": "EXCLUSIVE"},
    }
}
BY_TASK = {"means": "TASK", "retry_days": 7, "spread": False}
FOLLOW_UPS = {
    "time_zone": "Asia/Shanghai",
    "task_days": 3,
    "tiers": {
        "VIP": {
            "CONTACT": {"days": 30, "counts": ANY, **BY_TASK},
            "FACE_TO_FACE": {"days": 90, "counts": ["FACE_TO_FACE"], **BY_TASK},
        },
        "POTENTIAL": {"CONTACT": {"days": 90, "counts": ANY, **BY_TASK}},
        "MASS": {"CONTACT": {"days": 180, "counts": ANY, "means": "MESSAGE", "retry_days": 7, "spread": True}},
    },
    "told": {"VISIT": "FACE_TO_FACE", "BRANCH": "FACE_TO_FACE", "CALL": "PHONE", "CHAT": "DIGITAL"},
}
# A first template, which managers start by hand; a trigger is for the bank to choose.
WELCOME: dict[str, Any] = {
    "name_zh": "新客户欢迎计划",
    "name_en": "Welcome a new customer",
    "steps": [
        {"text_zh": "致电欢迎并了解需求", "text_en": "Call and ask for their needs", "offset": 0, "days": "CALENDAR"},
        {"text_zh": "发送个性化资产配置建议", "text_en": "Send a proposal for their assets", "offset": 5},
        {"text_zh": "当面拜访", "text_en": "Meet face to face", "offset": 20},
    ],
    "trigger": None,
    "condition": None,
}
STEP = {"days": "WORKING", "within_days": 2, "who": "RELATIONSHIP_MANAGER", "condition": None}
TEMPLATE_ID = "8d8e2e7e-36f5-5d3a-9f4e-0b1a6f0c9a51"
FOLLOW_UP_DAYS = (
    "begun_on",
    "next_on",
    "last_on",
    "closed_on",
    "not_before",
    "opened_on",
    "missed_on",
    "ended_on",
)
INSTANT = sa.DateTime(timezone=True)
ALIVE = sa.text("status = 'ACTIVE'")

POLICY = sa.table(
    "service_policy",
    *(sa.column(name) for name in ("id", "kind", "number", "created_by", "activated_by")),
    sa.column("definition", sa.JSON()),
    sa.column("created_at", INSTANT),
    sa.column("activated_at", INSTANT),
)
TEMPLATE = sa.table(
    "action_plan_template",
    sa.column("id"),
    sa.column("definition", sa.JSON()),
    sa.column("created_by"),
    sa.column("created_at", INSTANT),
)
CHOICE = sa.table("service_policy_choice", sa.column("kind"), sa.column("policy_id"))


def first_policy(kind: str, definition: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": FIRST[kind],
        "kind": kind,
        "number": 1,
        "definition": definition,
        "created_by": "migration",
        "activated_by": "migration",
        "created_at": NOW,
        "activated_at": NOW,
    }


def upgrade() -> None:
    with op.batch_alter_table("task") as batch:
        batch.add_column(sa.Column("role", sa.String(), nullable=True))
        batch.add_column(sa.Column("priority", sa.SmallInteger(), nullable=False, server_default="0"))
        batch.add_column(sa.Column("ended_by", sa.String(), nullable=True))
        batch.add_column(sa.Column("outcome", sa.String(), nullable=True))
        batch.add_column(sa.Column("reason", sa.String(), nullable=True))
        batch.create_index("ix_task_status", ["status", "id"])
    with op.batch_alter_table("task") as batch:
        batch.alter_column("priority", server_default=None)
    op.create_table(
        "service_policy",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("definition", sa.JSON(), nullable=False),
        sa.Column("created_by", sa.String(), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("activated_by", sa.String(), nullable=True),
        sa.Column("activated_at", INSTANT, nullable=True),
        sa.Column("retired_at", INSTANT, nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("kind", "number"),
    )
    op.create_table(
        "service_policy_choice",
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("policy_id", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["policy_id"], ["service_policy.id"]),
        sa.PrimaryKeyConstraint("kind"),
    )
    op.create_table(
        "interaction",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("customer_id", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("channel", sa.String(), nullable=False),
        sa.Column("direction", sa.String(), nullable=False),
        sa.Column("summary", sa.String(), nullable=True),
        sa.Column("employee_id", sa.String(), nullable=False),
        sa.Column("occurred_at", INSTANT, nullable=False),
        sa.Column("logged_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_interaction_customer", "interaction", ["customer_id", "occurred_at", "id"])
    op.create_table(
        "follow_up",
        sa.Column("customer_id", sa.String(), nullable=False),
        sa.Column("obligation", sa.String(), nullable=False),
        sa.Column("tier", sa.String(), nullable=False),
        sa.Column("policy_id", sa.String(), nullable=False),
        sa.Column("days", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        *(
            sa.Column(name, sa.Date(), nullable=True)
            for name in FOLLOW_UP_DAYS
        ),
        sa.ForeignKeyConstraint(["policy_id"], ["service_policy.id"]),
        sa.PrimaryKeyConstraint("customer_id", "obligation"),
    )
    op.create_table(
        "follow_up_run",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("policy_id", sa.String(), nullable=False),
        sa.Column("cursor", sa.String(), nullable=False),
        sa.Column("is_given_out", sa.Boolean(), nullable=False),
        *(sa.Column(name, sa.Integer(), nullable=False) for name in ("customers", "tasks", "messages", "missed")),
        sa.Column("opened_at", INSTANT, nullable=False),
        sa.Column("finished_at", INSTANT, nullable=True),
        sa.ForeignKeyConstraint(["policy_id"], ["service_policy.id"]),
        sa.PrimaryKeyConstraint("day"),
    )
    op.create_table(
        "follow_up_range",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("last", sa.String(), nullable=False),
        sa.Column("after", sa.String(), nullable=False),
        sa.Column("busy_until", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("day", "last"),
    )
    create_plans()
    op.bulk_insert(POLICY, [first_policy("ENTITLEMENTS", ENTITLEMENTS), first_policy("FOLLOW_UPS", FOLLOW_UPS)])
    definition: dict[str, Any] = {**WELCOME, "steps": [{**STEP, **step} for step in WELCOME["steps"]]}
    row = {"id": TEMPLATE_ID, "definition": definition, "created_by": "migration", "created_at": NOW}
    op.bulk_insert(TEMPLATE, [row])
    op.bulk_insert(CHOICE, [{"kind": kind, "policy_id": policy_id} for kind, policy_id in FIRST.items()])


def create_plans() -> None:
    op.create_table(
        "action_plan_template",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("definition", sa.JSON(), nullable=False),
        sa.Column("trigger_on", sa.String(), nullable=True),
        sa.Column("trigger_value", sa.String(), nullable=True),
        sa.Column("created_by", sa.String(), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("retired_by", sa.String(), nullable=True),
        sa.Column("retired_at", INSTANT, nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_action_plan_template_trigger", "action_plan_template", ["trigger_on", "trigger_value"])
    op.create_table(
        "action_plan",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("customer_id", sa.String(), nullable=False),
        sa.Column("template_id", sa.String(), nullable=False),
        sa.Column("cause", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("begins_on", sa.Date(), nullable=False),
        sa.Column("started_by", sa.String(), nullable=False),
        sa.Column("started_at", INSTANT, nullable=False),
        sa.Column("ended_by", sa.String(), nullable=True),
        sa.Column("ended_at", INSTANT, nullable=True),
        sa.Column("reason", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(["template_id"], ["action_plan_template.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("template_id", "cause"),
    )
    op.create_index("ix_action_plan_customer", "action_plan", ["customer_id", "started_at", "id"])
    op.create_index(
        "uq_action_plan_active",
        "action_plan",
        ["customer_id", "template_id"],
        unique=True,
        sqlite_where=ALIVE,
        postgresql_where=ALIVE,
    )
    op.create_table(
        "action_plan_step",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("plan_id", sa.String(), nullable=False),
        sa.Column("customer_id", sa.String(), nullable=False),
        sa.Column("position", sa.SmallInteger(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("due_on", sa.Date(), nullable=False),
        sa.Column("ended_at", INSTANT, nullable=True),
        sa.ForeignKeyConstraint(["plan_id"], ["action_plan.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("plan_id", "position"),
    )
    op.create_index("ix_action_plan_step_customer", "action_plan_step", ["customer_id"])


def downgrade() -> None:
    for name in (
        "action_plan_step",
        "action_plan",
        "action_plan_template",
        "follow_up_range",
        "follow_up_run",
        "follow_up",
        "interaction",
        "service_policy_choice",
        "service_policy",
    ):
        op.drop_table(name)
    with op.batch_alter_table("task") as batch:
        batch.drop_index("ix_task_status")
        for name in ("role", "priority", "ended_by", "outcome", "reason"):
            batch.drop_column(name)
