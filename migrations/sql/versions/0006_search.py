"""What the search finds where the graph has no full-text index.

Revision ID: 0006
Revises: 0005
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "search_document",
        sa.Column("place", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("label", sa.String(), nullable=False),
        sa.Column("node_id", sa.String(), nullable=False),
        sa.Column("terms", sa.String(), nullable=False),
        sa.Column("latitude", sa.Float(), nullable=True),
        sa.Column("longitude", sa.Float(), nullable=True),
        sa.PrimaryKeyConstraint("place"),
        sa.UniqueConstraint("label", "node_id"),
    )
    if op.get_bind().dialect.name == "postgresql":
        # The words are separated by single blanks; a GIN index finds those rows that have all of some.
        op.execute("CREATE INDEX ix_search_document_terms ON search_document USING gin (string_to_array(terms, ' '))")
        return
    # The rows stay in the table; the index holds words only, without their positions. Private-use characters are part
    # of words to this tokenizer, and it cuts at nothing but the blanks between ours.
    op.execute(
        "CREATE VIRTUAL TABLE search_term USING fts5(terms, content='search_document', content_rowid='place', "
        "tokenize='unicode61 remove_diacritics 0', detail=none, columnsize=0)"
    )


def downgrade() -> None:
    op.execute("DROP TABLE IF EXISTS search_term")
    op.drop_table("search_document")
