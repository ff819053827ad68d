"""Messages with their preferences, policy, deliveries and webhook endpoints; content that is reviewed and tagged.

Revision ID: 0028
Revises: 0025
"""

from datetime import datetime, timezone
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None

NOW = datetime(2026, 11, 29, tzinfo=timezone.utc)
FIRST_POLICY_ID = "130d4d74-b277-583c-b76e-0ed55c26c1df"
# What the model said when this was written; later versions are written by administrators.
FIRST_POLICY: dict[str, Any] = {'quiet_hours': {'start': '21:00', 'end': '09:00'},
 'total': {'count': 3, 'days': 1},
 'longest_wait_days': 7,
 'categories': {'SERVICE': {'channels': ['APP', 'EMAIL', 'SMS'],
                            'consent': 'NONE',
                            'purpose': None,
                            'cap': None,
                            'waits_for_morning': False,
                            'mutes': [],
                            'priority': 100},
                'CARE': {'channels': ['APP', 'WECHAT'],
                         'consent': 'NOT_REFUSED',
                         'purpose': 'CARE',
                         'cap': {'count': 5, 'days': 7},
                         'waits_for_morning': True,
                         'mutes': ['BEREAVEMENT', 'OPEN_COMPLAINT'],
                         'priority': 80},
                'SURVEY': {'channels': ['APP', 'EMAIL'],
                           'consent': 'NOT_REFUSED',
                           'purpose': 'RESEARCH',
                           'cap': {'count': 3, 'days': 7},
                           'waits_for_morning': True,
                           'mutes': ['BEREAVEMENT'],
                           'priority': 50},
                'MARKETING': {'channels': ['APP', 'EMAIL', 'WECHAT'],
                              'consent': 'GRANTED',
                              'purpose': 'MARKETING',
                              'cap': {'count': 2, 'days': 7},
                              'waits_for_morning': True,
                              'mutes': ['BEREAVEMENT', 'OPEN_COMPLAINT'],
                              'priority': 10}}}


def upgrade() -> None:
    op.create_table(
        "message_policy",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("definition", sa.JSON(), nullable=False),
        sa.Column("created_by", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("activated_by", sa.String(), nullable=True),
        sa.Column("activated_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("retired_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("version"),
    )
    op.create_index(
        "uq_message_policy_active",
        "message_policy",
        ["status"],
        unique=True,
        sqlite_where=sa.text("status = 'ACTIVE'"),
        postgresql_where=sa.text("status = 'ACTIVE'"),
    )
    op.create_table(
        "message_preference",
        sa.Column("customer_id", sa.String(), nullable=False),
        sa.Column("category", sa.String(), nullable=False),
        sa.Column("channel", sa.String(), nullable=False),
        sa.Column("is_enabled", sa.Boolean(), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("customer_id", "category", "channel"),
    )
    op.create_table(
        "message_setting",
        sa.Column("customer_id", sa.String(), nullable=False),
        sa.Column("time_zone", sa.String(), nullable=True),
        sa.Column("language", sa.String(), nullable=True),
        sa.Column("quiet_start", sa.Integer(), nullable=True),
        sa.Column("quiet_end", sa.Integer(), nullable=True),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("customer_id"),
    )
    op.create_table(
        "message",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("customer_id", sa.String(), nullable=False),
        sa.Column("category", sa.String(), nullable=False),
        sa.Column("template", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("words", sa.JSON(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("by_channel", sa.JSON(), nullable=False),
        sa.Column("policy_id", sa.String(), nullable=True),
        sa.Column("owed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("next_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("released_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("key"),
    )
    op.create_index("ix_message_customer", "message", ["customer_id", "owed_at", "id"], unique=False)
    op.create_index("ix_message_released", "message", ["customer_id", "released_at"], unique=False)
    op.create_table(
        "message_guard",
        sa.Column("customer_id", sa.String(), nullable=False),
        sa.Column("held_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("customer_id"),
    )
    op.create_table(
        "message_delivery",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("message_id", sa.String(), nullable=False),
        sa.Column("customer_id", sa.String(), nullable=False),
        sa.Column("channel", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("replays", sa.Integer(), nullable=False),
        sa.Column("failure", sa.String(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_message_delivery_customer", "message_delivery", ["customer_id"], unique=False)
    op.create_index(
        "ix_message_delivery_dead",
        "message_delivery",
        ["ended_at", "id"],
        unique=False,
        sqlite_where=sa.text("status = 'DEAD'"),
        postgresql_where=sa.text("status = 'DEAD'"),
    )
    op.create_index("ix_message_delivery_due", "message_delivery", ["channel", "due_at", "id"], unique=False)
    op.create_index("ix_message_delivery_message", "message_delivery", ["message_id"], unique=False)
    op.create_table(
        "webhook_endpoint",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("channel", sa.String(), nullable=False),
        sa.Column("url", sa.String(), nullable=False),
        sa.Column("wrapped", sa.String(), nullable=False),
        sa.Column("key_id", sa.Integer(), nullable=False),
        sa.Column("former_wrapped", sa.String(), nullable=True),
        sa.Column("former_key_id", sa.Integer(), nullable=True),
        sa.Column("former_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_by", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("rotated_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("disabled_by", sa.String(), nullable=True),
        sa.Column("disabled_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_webhook_endpoint_created", "webhook_endpoint", ["created_at", "id"], unique=False)
    op.create_index(
        "uq_webhook_endpoint_active",
        "webhook_endpoint",
        ["channel"],
        unique=True,
        sqlite_where=sa.text("disabled_at IS NULL"),
        postgresql_where=sa.text("disabled_at IS NULL"),
    )
    op.create_table(
        "content_article",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("title_zh", sa.String(), nullable=False),
        sa.Column("title_en", sa.String(), nullable=False),
        sa.Column("body_zh", sa.String(), nullable=False),
        sa.Column("body_en", sa.String(), nullable=False),
        sa.Column("minimum_tier", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("created_by", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed_by", sa.String(), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reviewed_by", sa.String(), nullable=True),
        sa.Column("reviewed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("review_note", sa.String(), nullable=True),
        sa.Column("published_by", sa.String(), nullable=True),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("retired_by", sa.String(), nullable=True),
        sa.Column("retired_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_content_article_created", "content_article", ["created_at", "id"], unique=False)
    op.create_index("ix_content_article_status", "content_article", ["status", "created_at", "id"], unique=False)
    op.create_table(
        "content_writer",
        sa.Column("article_id", sa.String(), nullable=False),
        sa.Column("employee_id", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["article_id"], ["content_article.id"]),
        sa.PrimaryKeyConstraint("article_id", "employee_id"),
    )
    op.create_table(
        "content_tag",
        sa.Column("article_id", sa.String(), nullable=False),
        sa.Column("tag_key", sa.String(), nullable=False),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["article_id"], ["content_article.id"]),
        sa.PrimaryKeyConstraint("article_id", "tag_key"),
    )
    op.create_index("ix_content_tag_published", "content_tag", ["tag_key", "published_at", "article_id"], unique=False)
    op.create_table(
        "content_announcement",
        sa.Column("article_id", sa.String(), nullable=False),
        sa.Column("position", sa.String(), nullable=False),
        sa.Column("told", sa.Integer(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["article_id"], ["content_article.id"]),
        sa.PrimaryKeyConstraint("article_id"),
    )
    op.create_index("ix_content_announcement_finished_at", "content_announcement", ["finished_at"], unique=False)
    op.bulk_insert(
        sa.table(
            "message_policy",
            sa.column("id", sa.String()),
            sa.column("version", sa.Integer()),
            sa.column("status", sa.String()),
            sa.column("definition", sa.JSON()),
            sa.column("created_by", sa.String()),
            sa.column("created_at", sa.DateTime(timezone=True)),
            sa.column("activated_by", sa.String()),
            sa.column("activated_at", sa.DateTime(timezone=True)),
        ),
        [
            {
                "id": FIRST_POLICY_ID,
                "version": 1,
                "status": "ACTIVE",
                "definition": FIRST_POLICY,
                "created_by": "kinship",
                "created_at": NOW,
                "activated_by": "kinship",
                "activated_at": NOW,
            }
        ],
    )


def downgrade() -> None:
    op.drop_table("content_announcement")
    op.drop_table("content_tag")
    op.drop_table("content_writer")
    op.drop_table("content_article")
    op.drop_table("webhook_endpoint")
    op.drop_table("message_delivery")
    op.drop_table("message_guard")
    op.drop_table("message")
    op.drop_table("message_setting")
    op.drop_table("message_preference")
    op.drop_table("message_policy")
