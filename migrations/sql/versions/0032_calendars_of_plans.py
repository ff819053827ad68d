"""The calendar by which a plan counts working days, and whether the day of a step may still move.

Revision ID: 0032
Revises: 0031
"""

import sqlalchemy as sa
from alembic import op

revision = "0032"
down_revision = "0031"
branch_labels = None
depends_on = None

# Plans that are there already were counted by the first calendar.
FIRST_CALENDAR = "e4dca2fd-0489-59c3-9215-162ee7aec9ad"


def upgrade() -> None:
    with op.batch_alter_table("action_plan") as batch:
        batch.add_column(sa.Column("calendar_id", sa.String(), nullable=False, server_default=FIRST_CALENDAR))
        batch.create_foreign_key("fk_action_plan_calendar", "business_calendar", ["calendar_id"], ["id"])
        batch.create_index("ix_action_plan_calendar", ["calendar_id", "status", "id"])
    with op.batch_alter_table("action_plan") as batch:
        batch.alter_column("calendar_id", server_default=None)
    with op.batch_alter_table("action_plan_step") as batch:
        batch.add_column(sa.Column("is_provisional", sa.Boolean(), nullable=False, server_default=sa.false()))
    with op.batch_alter_table("action_plan_step") as batch:
        batch.alter_column("is_provisional", server_default=None)


def downgrade() -> None:
    with op.batch_alter_table("action_plan_step") as batch:
        batch.drop_column("is_provisional")
    with op.batch_alter_table("action_plan") as batch:
        batch.drop_index("ix_action_plan_calendar")
        batch.drop_constraint("fk_action_plan_calendar", type_="foreignkey")
        batch.drop_column("calendar_id")
