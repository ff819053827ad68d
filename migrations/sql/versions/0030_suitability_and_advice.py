"""Products with their ratings, risk assessments by a first questionnaire, what does not fit any more, and advice.

Revision ID: 0030
Revises: 0025
"""

from datetime import datetime, timezone
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None

NOW = datetime(2026, 11, 29, tzinfo=timezone.utc)
# derived_id("risk_questionnaire", "first")
FIRST = "5d958238-0c2e-5a82-bd93-c4e59187a2cd"


def question(key: str, zh: str, en: str, *answers: tuple[str, str, str, int] | tuple[str, str, str, int, str]) -> Any:
    return {
        "key": key,
        "text_zh": zh,
        "text_en": en,
        "answers": [
            {
                "key": one[0],
                "text_zh": one[1],
                "text_en": one[2],
                "score": one[3],
                "at_most": one[4] if len(one) > 4 else None,
            }
            for one in answers
        ],
    }


# A first questionnaire, 0 to 100; later versions are written by compliance.
QUESTIONNAIRE = {
    "questions": [
        question(
            "age",
            "您的年龄是？",
            "How old are you?",
            ("under-30", "30岁以下", "Under 30", 14),
            ("30-to-50", "30至50岁", "30 to 50", 16),
            ("51-to-64", "51至64岁", "51 to 64", 8),
            ("65-and-over", "65岁及以上", "65 and over", 2),
        ),
        question(
            "income",
            "您的家庭年收入中，可用于投资的比例是？",
            "How much of your household's yearly income can be invested?",
            ("under-10", "10%以下", "Less than 10 %", 2),
            ("10-to-25", "10%至25%", "10 to 25 %", 8),
            ("26-to-50", "26%至50%", "26 to 50 %", 14),
            ("over-50", "50%以上", "More than 50 %", 16),
        ),
        question(
            "experience",
            "您有多少年基金、股票等投资经验？",
            "For how many years have you invested in funds or shares?",
            ("none", "没有经验", "None", 0),
            ("under-2", "2年以下", "Under 2 years", 6),
            ("2-to-5", "2至5年", "2 to 5 years", 12),
            ("over-5", "5年以上", "Over 5 years", 16),
        ),
        question(
            "aim",
            "以下哪项最符合您的投资目的？",
            "What do you want of your investment?",
            ("keep", "保值，不接受本金损失", "To keep what I have, without any loss", 0, "C1"),
            ("steady", "稳健增值", "To gain steadily", 8),
            ("growth", "资产较快增长", "To gain faster", 14),
            ("high", "追求高收益", "To gain as much as possible", 18),
        ),
        question(
            "fall",
            "如果您的投资在三个月内下跌15%，您会？",
            "Your investment falls by 15 % within three months. You …",
            ("sell-all", "全部卖出", "sell all of it", 0),
            ("sell-some", "部分卖出", "sell some of it", 6),
            ("keep", "继续持有", "keep it", 12),
            ("buy", "继续买入", "buy more", 16),
        ),
        question(
            "loss",
            "您能承受的最大年度损失是？",
            "What loss in a year could you bear at most?",
            ("none", "不能承受任何损失", "None", 0, "C1"),
            ("5", "5%以内", "Up to 5 %", 6),
            ("15", "15%以内", "Up to 15 %", 10),
            ("30", "30%以内", "Up to 30 %", 14),
            ("more", "30%以上", "More than 30 %", 18),
        ),
    ],
    "least_scores": {"C2": 21, "C3": 41, "C4": 61, "C5": 81},
    "valid_months": 12,
    "most_a_day": 2,
    "most_in_period": 8,
    "period_months": 12,
}

TABLE = sa.table(
    "risk_questionnaire",
    *(sa.column(name) for name in ("id", "version", "status", "created_by", "activated_by")),
    sa.column("definition", sa.JSON()),
    sa.column("created_at", sa.DateTime(timezone=True)),
    sa.column("activated_at", sa.DateTime(timezone=True)),
)


def text(name: str, *, nullable: bool = False) -> Any:
    return sa.Column(name, sa.String(), nullable=nullable)


def number(name: str, *, nullable: bool = False) -> Any:
    return sa.Column(name, sa.Integer(), nullable=nullable)


def at(name: str, *, nullable: bool = False) -> Any:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def upgrade() -> None:
    op.create_index("ix_holding_product", "holding", ["product", "customer_id"], unique=False)
    op.create_table(
        "product",
        text("id"),
        text("code"),
        text("name_zh"),
        text("name_en"),
        text("risk", nullable=True),
        number("horizon_months", nullable=True),
        text("liquidity", nullable=True),
        number("version"),
        sa.Column("is_active", sa.Boolean(), nullable=False),
        text("source"),
        at("observed_at"),
        at("recorded_at"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_product_code", "product", ["code"], unique=True)
    op.create_table(
        "product_tag",
        text("product_id"),
        text("tag_key"),
        sa.ForeignKeyConstraint(["product_id"], ["product.id"]),
        sa.PrimaryKeyConstraint("product_id", "tag_key"),
    )
    op.create_index("ix_product_tag_key", "product_tag", ["tag_key", "product_id"], unique=False)
    op.create_table(
        "product_rating",
        text("id"),
        text("product_id"),
        number("version"),
        text("risk", nullable=True),
        number("horizon_months", nullable=True),
        text("liquidity", nullable=True),
        text("set_by"),
        at("observed_at"),
        at("recorded_at"),
        sa.ForeignKeyConstraint(["product_id"], ["product.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("product_id", "version"),
    )
    op.create_table(
        "risk_questionnaire",
        text("id"),
        number("version"),
        text("status"),
        sa.Column("definition", sa.JSON(), nullable=False),
        text("created_by"),
        at("created_at"),
        text("activated_by", nullable=True),
        at("activated_at", nullable=True),
        at("retired_at", nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("version"),
    )
    op.create_index(
        "uq_risk_questionnaire_active",
        "risk_questionnaire",
        ["status"],
        unique=True,
        sqlite_where=sa.text("status = 'ACTIVE'"),
        postgresql_where=sa.text("status = 'ACTIVE'"),
    )
    op.create_table(
        "risk_assessment",
        text("id"),
        text("customer_id"),
        text("questionnaire_id"),
        sa.Column("answers", sa.JSON(), nullable=False),
        number("score"),
        text("risk_class"),
        number("horizon_months"),
        text("liquidity_need"),
        text("interaction", nullable=True),
        text("entered_by", nullable=True),
        at("taken_at"),
        at("expires_at"),
        sa.ForeignKeyConstraint(["questionnaire_id"], ["risk_questionnaire.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "ix_risk_assessment_customer", "risk_assessment", ["customer_id", "taken_at", "id"], unique=False
    )
    op.create_table(
        "assessment_guard",
        text("customer_id"),
        at("last_at"),
        sa.PrimaryKeyConstraint("customer_id"),
    )
    op.create_table(
        "suitability_finding",
        text("id"),
        text("customer_id"),
        text("product"),
        sa.Column("snapshot", sa.JSON(), nullable=False),
        at("found_at"),
        at("due_at"),
        at("ended_at", nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "uq_suitability_finding_open",
        "suitability_finding",
        ["customer_id", "product"],
        unique=True,
        sqlite_where=sa.text("ended_at IS NULL"),
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.create_index("ix_suitability_finding_found", "suitability_finding", ["found_at", "id"], unique=False)
    op.create_index(
        "ix_suitability_finding_customer", "suitability_finding", ["customer_id", "found_at", "id"], unique=False
    )
    op.create_table(
        "advice_thread",
        text("id"),
        text("customer_id"),
        text("product", nullable=True),
        text("wrapped"),
        number("key_id"),
        at("waiting_since", nullable=True),
        at("opened_at"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_advice_thread_customer", "advice_thread", ["customer_id", "opened_at", "id"], unique=False)
    op.create_index("ix_advice_thread_opened", "advice_thread", ["opened_at", "id"], unique=False)
    op.create_index(op.f("ix_advice_thread_key_id"), "advice_thread", ["key_id"], unique=False)
    op.create_table(
        "advice_question",
        text("id"),
        text("thread_id"),
        text("customer_id"),
        text("sealed_text"),
        at("asked_at"),
        at("due_at"),
        at("answered_at", nullable=True),
        sa.ForeignKeyConstraint(["thread_id"], ["advice_thread.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_advice_question_thread", "advice_question", ["thread_id", "asked_at", "id"], unique=False)
    op.create_index(op.f("ix_advice_question_customer_id"), "advice_question", ["customer_id"], unique=False)
    op.create_table(
        "advice_note",
        text("id"),
        text("thread_id"),
        text("customer_id"),
        text("product"),
        text("sealed_rationale"),
        text("status"),
        sa.Column("snapshot", sa.JSON(), nullable=True),
        text("drafted_by"),
        at("drafted_at"),
        at("changed_at"),
        text("published_by", nullable=True),
        at("published_at", nullable=True),
        sa.ForeignKeyConstraint(["thread_id"], ["advice_thread.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_advice_note_customer", "advice_note", ["customer_id", "drafted_at", "id"], unique=False)
    op.create_index("ix_advice_note_thread", "advice_note", ["thread_id", "drafted_at", "id"], unique=False)
    op.create_index("ix_advice_note_drafted", "advice_note", ["drafted_at", "id"], unique=False)
    first = {"id": FIRST, "version": 1, "status": "ACTIVE", "definition": QUESTIONNAIRE}
    by = {"created_by": "migration", "activated_by": "migration", "created_at": NOW, "activated_at": NOW}
    op.bulk_insert(TABLE, [first | by])


def downgrade() -> None:
    for name in (
        "advice_note",
        "advice_question",
        "advice_thread",
        "suitability_finding",
        "assessment_guard",
        "risk_assessment",
        "risk_questionnaire",
        "product_rating",
        "product_tag",
        "product",
    ):
        op.drop_table(name)
    op.drop_index("ix_holding_product", table_name="holding")
