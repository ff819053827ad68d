"""Early warning, needs and tasks, with the first policies of both and the needs that customers can have.

Revision ID: 0020
Revises: 0019
"""

from datetime import datetime, timezone
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

NOW = datetime(2026, 11, 28, tzinfo=timezone.utc)
FIRST = {"ALERTS": "1075674d-274c-50d5-8b4c-ffebfc787f0f", "NEEDS": "6b6c6285-d67c-58e5-8992-1e42062ffcdc"}
# What the models said when this was written; later versions are written by administrators.
ALERTS = {
    "time_zone": "Asia/Shanghai",
    "currency": "CNY",
    "repeat_days": 30,
    "task_days": 3,
    "balance_drop": {"at_most_percent": 70, "vip_at_most_percent": 80, "least_drop": 5000000, "months": 3},
    "large_outflow": {"least": 20000000, "percent_of_balance": 30},
    "activity_drop": {"percent": 30, "days": 90, "least_before": 1},
    "dormant": {"days": 180},
    "maturity": {"stages": [-14, -7, -1, 3]},
    "complaints": {"count": 2, "days": 90},
    "anomaly": {"least_score": "3.5", "least_points": 8, "months": 12, "flat_change": 5000000},
    "conditions": [],
}
NEEDS = {
    "time_zone": "Asia/Shanghai",
    "dismissed_days": 180,
    "met_days": 365,
    "declared_days": 365,
    "rules": [
        {
            "key": "child-born",
            "need": "EDUCATION_FUND",
            "name_zh": "家中新添子女",
            "name_en": "A child was born",
            "condition": {"trait": {"name": "child_born", "age_at_most": 1}},
            "confidence_percent": 70,
            "expires_days": 365,
        },
        {
            "key": "child-15-to-18",
            "need": "STUDY_ABROAD",
            "name_zh": "子女15至18岁",
            "name_en": "A child of 15 to 18",
            "condition": {"trait": {"name": "child_born", "age_at_least": 15, "age_at_most": 18}},
            "confidence_percent": 60,
            "expires_days": 365,
        },
        {
            "key": "young-firm",
            "need": "STARTUP_LOAN",
            "name_zh": "企业成立不满24个月",
            "name_en": "A firm of less than 24 months",
            "condition": {"trait": {"name": "firm_founded", "age_at_most": 1}},
            "confidence_percent": 65,
            "expires_days": 180,
        },
        {
            "key": "fifty-and-over",
            "need": "PENSION",
            "name_zh": "年满50岁",
            "name_en": "50 and over",
            "condition": {"trait": {"name": "born", "age_at_least": 50}},
            "confidence_percent": 70,
            "expires_days": 365,
        },
        {
            "key": "no-home-at-25-to-40",
            "need": "HOME",
            "name_zh": "25至40岁且无自有住房",
            "name_en": "25 to 40 without a home of their own",
            "condition": {
                "all": [
                    {"trait": {"name": "born", "age_at_least": 25, "age_at_most": 40}},
                    {"trait": {"name": "owns_home", "eq": False}},
                ]
            },
            "confidence_percent": 50,
            "expires_days": 365,
        },
        {
            "key": "large-assets-few-products",
            "need": "WEALTH",
            "name_zh": "资产50万元以上且持有产品不足3种",
            "name_en": "Assets from 500,000 and fewer than three products",
            "condition": {
                "all": [{"trait": {"name": "assets", "gte": 50000000}}, {"trait": {"name": "products_held", "lt": 3}}]
            },
            "confidence_percent": 55,
            "expires_days": 180,
        },
    ],
}
# Key, words, and the tag of the family NEED that says so of a customer, where the bank has it.
KINDS = [
    ("HOME", "购房", "Home", "home-purchase"),
    ("STUDY_ABROAD", "留学", "Study abroad", "study-abroad"),
    ("PENSION", "养老", "Pension", "pension"),
    ("EDUCATION_FUND", "教育金", "Education fund", "education-fund"),
    ("STARTUP_LOAN", "创业贷款", "Start-up loan", "business-loan"),
    ("INSURANCE", "保险保障", "Insurance", "health-protection"),
    ("WEALTH", "财富管理", "Wealth management", None),
    ("CAR", "购车", "Car", "car-purchase"),
    ("TRAVEL", "出行", "Travel", None),
    ("FAMILY_OFFICE", "家族传承", "Wealth for the next generation", "wealth-succession"),
]

POLICY = sa.table(
    "insight_policy",
    *(sa.column(name) for name in ("id", "kind", "number", "created_by", "activated_by")),
    sa.column("definition", sa.JSON()),
    sa.column("created_at", sa.DateTime(timezone=True)),
    sa.column("activated_at", sa.DateTime(timezone=True)),
)
CHOICE = sa.table("insight_policy_choice", sa.column("kind"), sa.column("policy_id"))
KIND = sa.table(
    "need_kind",
    *(sa.column(name) for name in ("key", "name_zh", "name_en", "tag_key")),
    sa.column("created_at", sa.DateTime(timezone=True)),
)


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
    op.create_table(
        "alert_guard",
        sa.Column("customer_id", sa.String(), nullable=False),
        sa.Column("cause", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("alert_id", sa.String(), nullable=False),
        sa.Column("raised_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("customer_id", "cause"),
    )
    op.create_table(
        "insight_policy",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("definition", sa.JSON(), nullable=False),
        sa.Column("created_by", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("activated_by", sa.String(), nullable=True),
        sa.Column("activated_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("retired_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("kind", "number"),
    )
    op.create_table(
        "need_guard",
        sa.Column("customer_id", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("need_id", sa.String(), nullable=False),
        sa.Column("blocked_until", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("customer_id", "kind"),
    )
    op.create_table(
        "need_kind",
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("name_zh", sa.String(), nullable=False),
        sa.Column("name_en", sa.String(), nullable=False),
        sa.Column("tag_key", sa.String(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("key"),
    )
    op.create_table(
        "task",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("customer_id", sa.String(), nullable=False),
        sa.Column("assignee", sa.String(), nullable=True),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("key"),
    )
    op.create_index("ix_task_assignee", "task", ["assignee", "status", "due_at", "id"], unique=False)
    op.create_index("ix_task_customer", "task", ["customer_id", "due_at", "id"], unique=False)
    op.create_table(
        "alert",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("customer_id", sa.String(), nullable=False),
        sa.Column("cause", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("evidence", sa.JSON(), nullable=False),
        sa.Column("currency", sa.String(), nullable=False),
        sa.Column("policy_id", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("raised_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("acknowledged_by", sa.String(), nullable=True),
        sa.Column("acknowledged_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("closed_by", sa.String(), nullable=True),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("reason", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(
            ["policy_id"],
            ["insight_policy.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_alert_customer", "alert", ["customer_id", "raised_at", "id"], unique=False)
    op.create_index("ix_alert_status", "alert", ["status", "raised_at", "id"], unique=False)
    op.create_table(
        "insight_policy_choice",
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("policy_id", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["policy_id"],
            ["insight_policy.id"],
        ),
        sa.PrimaryKeyConstraint("kind"),
    )
    op.create_table(
        "insight_sweep",
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("first_day", sa.Date(), nullable=False),
        sa.Column("policy_id", sa.String(), nullable=False),
        sa.Column("cursor", sa.String(), nullable=False),
        sa.Column("customers", sa.Integer(), nullable=False),
        sa.Column("raised", sa.Integer(), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("busy_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["policy_id"],
            ["insight_policy.id"],
        ),
        sa.PrimaryKeyConstraint("kind", "day"),
    )
    op.create_table(
        "need",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("customer_id", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("origin", sa.String(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("rule", sa.String(), nullable=True),
        sa.Column("policy_id", sa.String(), nullable=True),
        sa.Column("confidence_percent", sa.Integer(), nullable=False),
        sa.Column("evidence", sa.JSON(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("raised_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("decided_by", sa.String(), nullable=True),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("reason", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(
            ["kind"],
            ["need_kind.key"],
        ),
        sa.ForeignKeyConstraint(
            ["policy_id"],
            ["insight_policy.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_need_customer", "need", ["customer_id", "raised_at", "id"], unique=False)
    op.create_index("ix_need_status", "need", ["status", "raised_at", "id"], unique=False)
    op.bulk_insert(POLICY, [first_policy("ALERTS", ALERTS), first_policy("NEEDS", NEEDS)])
    op.bulk_insert(CHOICE, [{"kind": kind, "policy_id": policy_id} for kind, policy_id in FIRST.items()])
    op.bulk_insert(
        KIND,
        [dict(zip(("key", "name_zh", "name_en", "tag_key"), row, strict=True)) | {"created_at": NOW} for row in KINDS],
    )


def downgrade() -> None:
    op.drop_index("ix_need_status", table_name="need")
    op.drop_index("ix_need_customer", table_name="need")
    op.drop_table("need")
    op.drop_table("insight_sweep")
    op.drop_table("insight_policy_choice")
    op.drop_index("ix_alert_status", table_name="alert")
    op.drop_index("ix_alert_customer", table_name="alert")
    op.drop_table("alert")
    op.drop_index("ix_task_customer", table_name="task")
    op.drop_index("ix_task_assignee", table_name="task")
    op.drop_table("task")
    op.drop_table("need_kind")
    op.drop_table("need_guard")
    op.drop_table("insight_policy")
    op.drop_table("alert_guard")
