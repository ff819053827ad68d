"""Clicks counted by owner and channel, claims by channel, and codes in the order of their making.

Revision ID: 0010
Revises: 0009
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

# As many channels as an owner may have; what is beyond them counts as `other`, as it does from now on.
COUNT_CLICKS = """
INSERT INTO referral_channel (program_id, customer_id, channel, clicks, robots)
SELECT program_id, customer_id, CASE WHEN place < 50 THEN channel ELSE 'other' END AS kept, sum(clicks), sum(robots)
FROM (
  SELECT code.program_id, code.customer_id, click.channel,
         sum(CASE WHEN click.is_robot THEN 0 ELSE 1 END) AS clicks,
         sum(CASE WHEN click.is_robot THEN 1 ELSE 0 END) AS robots,
         row_number() OVER (
           PARTITION BY code.program_id, code.customer_id ORDER BY count(*) DESC, click.channel
         ) AS place
  FROM referral_click AS click
  JOIN referral_code AS code ON code.id = click.code_id
  GROUP BY code.program_id, code.customer_id, click.channel
) AS counted
GROUP BY program_id, customer_id, CASE WHEN place < 50 THEN channel ELSE 'other' END
"""
NAME_CHANNELS = """
UPDATE referral SET channel = (
  SELECT coalesce(kept.channel, 'other')
  FROM referral_click AS click
  LEFT JOIN referral_code AS code ON code.id = click.code_id
  LEFT JOIN referral_channel AS kept ON kept.program_id = code.program_id
    AND kept.customer_id = code.customer_id AND kept.channel = click.channel
  WHERE click.id = referral.click_id
)
WHERE click_id IS NOT NULL
"""


def upgrade() -> None:
    op.create_table(
        "referral_channel",
        sa.Column("program_id", sa.String, sa.ForeignKey("referral_program.id"), primary_key=True),
        sa.Column("customer_id", sa.String, primary_key=True),
        sa.Column("channel", sa.String, primary_key=True),
        sa.Column("clicks", sa.Integer, nullable=False),
        sa.Column("robots", sa.Integer, nullable=False),
    )
    op.create_index("ix_referral_code_owner", "referral_code", ["program_id", "customer_id", "created_at", "id"])
    op.add_column("referral", sa.Column("channel", sa.String, nullable=True))
    op.execute(COUNT_CLICKS)
    op.execute(NAME_CHANNELS)
    op.create_index("ix_referral_channel", "referral", ["program_id", "referrer_id", "channel", "status"])


def downgrade() -> None:
    op.drop_index("ix_referral_channel", table_name="referral")
    op.drop_column("referral", "channel")
    op.drop_index("ix_referral_code_owner", table_name="referral_code")
    op.drop_table("referral_channel")
