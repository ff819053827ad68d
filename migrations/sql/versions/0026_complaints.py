"""Complaints with their logs and marks, the policy of their clocks, and business calendars with the first of each.

Revision ID: 0026
Revises: 0025
"""

from datetime import datetime, timezone

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None

NOW = datetime(2026, 11, 29, tzinfo=timezone.utc)
OFFICE = ["09:00-12:00", "13:00-18:00"]
# The calendar and the policy with which a bank begins, as the service room had them when this was written; their ids
# are computed.
FIRST_CALENDAR_ID = "e4dca2fd-0489-59c3-9215-162ee7aec9ad"
FIRST_CALENDAR = {
    "time_zone": "Asia/Shanghai",
    "country": "CN",
    "monday": OFFICE,
    "tuesday": OFFICE,
    "wednesday": OFFICE,
    "thursday": OFFICE,
    "friday": OFFICE,
    "saturday": [],
    "sunday": [],
    "opened_hours": OFFICE,
    "open_days": [],
    "closed_days": [],
    "arranged_until": None,
}
FIRST_POLICY_ID = "3f4d15f1-c3cf-5e5d-8f15-dfaa9757b80f"
FIRST_POLICY = {
    "levels": [
        {
            "key": "vip",
            "name_zh": "贵宾绿色通道",
            "name_en": "VIP green channel",
            "condition": {"tier": {"at_least": "VIP"}},
            "green_channel": True,
            "priority": 1,
            "first_response_minutes": 60,
            "next_update_minutes": 480,
            "solution_minutes": 2_400,
            "calendar_id": FIRST_CALENDAR_ID,
        },
        {
            "key": "potential",
            "name_zh": "潜力客户",
            "name_en": "Potential customers",
            "condition": {"tier": {"at_least": "POTENTIAL"}},
            "green_channel": False,
            "priority": 3,
            "first_response_minutes": 240,
            "next_update_minutes": 960,
            "solution_minutes": 3_360,
            "calendar_id": FIRST_CALENDAR_ID,
        },
        {
            "key": "standard",
            "name_zh": "标准",
            "name_en": "Standard",
            "condition": None,
            "green_channel": False,
            "priority": 5,
            "first_response_minutes": 480,
            "next_update_minutes": 1_440,
            "solution_minutes": 4_800,
            "calendar_id": FIRST_CALENDAR_ID,
        },
    ],
    "warn_percent": 80,
    "statutory_days": [15, 30, 60],
    "statutory_warning_days": 3,
}
CALENDAR = sa.table(
    "business_calendar",
    sa.column("id"),
    sa.column("version"),
    sa.column("name_zh"),
    sa.column("name_en"),
    sa.column("definition", sa.JSON()),
    sa.column("digest"),
    sa.column("updated_by"),
    sa.column("updated_at", sa.DateTime(timezone=True)),
)
POLICY = sa.table(
    "complaint_policy",
    sa.column("id"),
    sa.column("version"),
    sa.column("status"),
    sa.column("definition", sa.JSON()),
    sa.column("created_by"),
    sa.column("created_at", sa.DateTime(timezone=True)),
    sa.column("activated_by"),
    sa.column("activated_at", sa.DateTime(timezone=True)),
)
# What an entry of a log says for ever; its words go with an erasure, and a merge gives it to another customer.
SAID = "complaint_id, number, kind, employee, at, details"


def upgrade() -> None:
    op.create_table('business_calendar',
    sa.Column('id', sa.String(), nullable=False),
    sa.Column('version', sa.Integer(), nullable=False),
    sa.Column('name_zh', sa.String(), nullable=False),
    sa.Column('name_en', sa.String(), nullable=False),
    sa.Column('definition', sa.JSON(), nullable=False),
    sa.Column('digest', sa.String(), nullable=False),
    sa.Column('updated_by', sa.String(), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint('id')
    )
    op.create_table('complaint_policy',
    sa.Column('id', sa.String(), nullable=False),
    sa.Column('version', sa.Integer(), nullable=False),
    sa.Column('status', sa.String(), nullable=False),
    sa.Column('definition', sa.JSON(), nullable=False),
    sa.Column('created_by', sa.String(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('activated_by', sa.String(), nullable=True),
    sa.Column('activated_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('retired_at', sa.DateTime(timezone=True), nullable=True),
    sa.PrimaryKeyConstraint('id'),
    sa.UniqueConstraint('version')
    )
    op.create_index('uq_complaint_policy_active', 'complaint_policy', ['status'], unique=True, sqlite_where=sa.text("status = 'ACTIVE'"), postgresql_where=sa.text("status = 'ACTIVE'"))
    op.create_table('complaint',
    sa.Column('id', sa.String(), nullable=False),
    sa.Column('customer_id', sa.String(), nullable=False),
    sa.Column('topic', sa.String(), nullable=False),
    sa.Column('channel', sa.String(), nullable=False),
    sa.Column('product', sa.String(), nullable=True),
    sa.Column('community_id', sa.String(), nullable=True),
    sa.Column('status', sa.String(), nullable=False),
    sa.Column('owner', sa.String(), nullable=True),
    sa.Column('hand_off_to', sa.String(), nullable=True),
    sa.Column('filed_by', sa.String(), nullable=True),
    sa.Column('filed_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('policy_id', sa.String(), nullable=False),
    sa.Column('level', sa.String(), nullable=False),
    sa.Column('priority', sa.Integer(), nullable=False),
    sa.Column('calendar_id', sa.String(), nullable=False),
    sa.Column('last_number', sa.Integer(), nullable=False),
    sa.Column('changed_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('extensions', sa.Integer(), nullable=False),
    sa.Column('extension_asked_by', sa.String(), nullable=True),
    sa.Column('cause', sa.String(), nullable=True),
    sa.Column('told_on', sa.Date(), nullable=True),
    sa.Column('closed_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('closed_month', sa.Date(), nullable=True),
    sa.Column('solution_minutes', sa.Integer(), nullable=True),
    sa.Column('is_breached', sa.Boolean(), nullable=False),
    sa.Column('first_response_due', sa.DateTime(timezone=True), nullable=True),
    sa.Column('first_response_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('update_due', sa.DateTime(timezone=True), nullable=True),
    sa.Column('solution_due', sa.DateTime(timezone=True), nullable=True),
    sa.Column('statutory_due', sa.DateTime(timezone=True), nullable=True),
    sa.Column('is_provisional', sa.Boolean(), nullable=False),
    sa.Column('next_check_at', sa.DateTime(timezone=True), nullable=True),
    sa.ForeignKeyConstraint(['calendar_id'], ['business_calendar.id'], ),
    sa.ForeignKeyConstraint(['policy_id'], ['complaint_policy.id'], ),
    sa.PrimaryKeyConstraint('id')
    )
    op.create_index('ix_complaint_calendar', 'complaint', ['calendar_id', 'status', 'id'], unique=False)
    op.create_index('ix_complaint_candidate', 'complaint', ['hand_off_to'], unique=False)
    op.create_index('ix_complaint_check', 'complaint', ['next_check_at', 'id'], unique=False)
    op.create_index('ix_complaint_closed', 'complaint', ['closed_month'], unique=False)
    op.create_index('ix_complaint_customer', 'complaint', ['customer_id', 'filed_at', 'id'], unique=False)
    op.create_index('ix_complaint_owner', 'complaint', ['owner', 'status', 'priority', 'filed_at', 'id'], unique=False)
    op.create_index('ix_complaint_queue', 'complaint', ['status', 'priority', 'filed_at', 'id'], unique=False)
    op.create_table('complaint_accused',
    sa.Column('complaint_id', sa.String(), nullable=False),
    sa.Column('employee', sa.String(), nullable=False),
    sa.Column('named_at', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['complaint_id'], ['complaint.id'], ),
    sa.PrimaryKeyConstraint('complaint_id', 'employee')
    )
    op.create_index('ix_complaint_accused_employee', 'complaint_accused', ['employee'], unique=False)
    op.create_table('complaint_entry',
    sa.Column('complaint_id', sa.String(), nullable=False),
    sa.Column('number', sa.Integer(), nullable=False),
    sa.Column('customer_id', sa.String(), nullable=False),
    sa.Column('kind', sa.String(), nullable=False),
    sa.Column('employee', sa.String(), nullable=True),
    sa.Column('at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('words', sa.String(), nullable=True),
    sa.Column('details', sa.JSON(), nullable=False),
    sa.ForeignKeyConstraint(['complaint_id'], ['complaint.id'], ),
    sa.PrimaryKeyConstraint('complaint_id', 'number')
    )
    op.create_index('ix_complaint_entry_customer', 'complaint_entry', ['customer_id'], unique=False)
    op.create_table('complaint_key',
    sa.Column('complaint_id', sa.String(), nullable=False),
    sa.Column('customer_id', sa.String(), nullable=False),
    sa.Column('wrapped', sa.String(), nullable=False),
    sa.Column('key_id', sa.Integer(), nullable=False),
    sa.ForeignKeyConstraint(['complaint_id'], ['complaint.id'], ),
    sa.PrimaryKeyConstraint('complaint_id')
    )
    op.create_index('ix_complaint_key_customer', 'complaint_key', ['customer_id'], unique=False)
    op.create_index('ix_complaint_key_ring', 'complaint_key', ['key_id'], unique=False)
    op.create_table('complaint_mark',
    sa.Column('id', sa.String(), nullable=False),
    sa.Column('complaint_id', sa.String(), nullable=False),
    sa.Column('clock', sa.String(), nullable=False),
    sa.Column('anchor', sa.Integer(), nullable=False),
    sa.Column('stage', sa.String(), nullable=False),
    sa.Column('due_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('marked_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('is_late', sa.Boolean(), nullable=False),
    sa.Column('is_over', sa.Boolean(), nullable=False),
    sa.ForeignKeyConstraint(['complaint_id'], ['complaint.id'], ),
    sa.PrimaryKeyConstraint('id')
    )
    op.create_index('ix_complaint_mark_complaint', 'complaint_mark', ['complaint_id', 'due_at', 'id'], unique=False)
    op.bulk_insert(
        CALENDAR,
        [
            {
                "id": FIRST_CALENDAR_ID,
                "version": 1,
                "name_zh": "总行工作日历",
                "name_en": "Head office",
                "definition": FIRST_CALENDAR,
                "digest": "",
                "updated_by": "kinship",
                "updated_at": NOW,
            }
        ],
    )
    op.bulk_insert(
        POLICY,
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
    if op.get_bind().dialect.name == "postgresql":
        for name, verb in (("update", f"UPDATE OF {SAID}"), ("delete", "DELETE")):
            op.execute(
                f"CREATE TRIGGER complaint_entry_no_{name} BEFORE {verb} ON complaint_entry "
                "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
            )
        return
    for name, verb in (("update", f"UPDATE OF {SAID}"), ("delete", "DELETE")):
        op.execute(
            f"CREATE TRIGGER complaint_entry_no_{name} BEFORE {verb} ON complaint_entry "
            "BEGIN SELECT RAISE(ABORT, 'complaint_entry is append-only'); END"
        )


def downgrade() -> None:
    for name in ("update", "delete"):
        suffix = " ON complaint_entry" if op.get_bind().dialect.name == "postgresql" else ""
        op.execute(f"DROP TRIGGER complaint_entry_no_{name}{suffix}")
    op.drop_index('ix_complaint_mark_complaint', table_name='complaint_mark')
    op.drop_table('complaint_mark')
    op.drop_index('ix_complaint_key_ring', table_name='complaint_key')
    op.drop_index('ix_complaint_key_customer', table_name='complaint_key')
    op.drop_table('complaint_key')
    op.drop_index('ix_complaint_entry_customer', table_name='complaint_entry')
    op.drop_table('complaint_entry')
    op.drop_index('ix_complaint_accused_employee', table_name='complaint_accused')
    op.drop_table('complaint_accused')
    op.drop_index('ix_complaint_queue', table_name='complaint')
    op.drop_index('ix_complaint_owner', table_name='complaint')
    op.drop_index('ix_complaint_customer', table_name='complaint')
    op.drop_index('ix_complaint_closed', table_name='complaint')
    op.drop_index('ix_complaint_check', table_name='complaint')
    op.drop_index('ix_complaint_candidate', table_name='complaint')
    op.drop_index('ix_complaint_calendar', table_name='complaint')
    op.drop_table('complaint')
    op.drop_index('uq_complaint_policy_active', table_name='complaint_policy')
    op.drop_table('complaint_policy')
    op.drop_table('business_calendar')
