"""Alembic's environment: it works on the connection that it is handed, inside the caller's transaction."""

from typing import Any, Literal

from alembic import context
from sqlalchemy import String
from sqlalchemy.types import TypeDecorator


def render_plainly(kind: str, item: Any, _: Any) -> str | Literal[False]:
    """Write our own column types as the plain types below them: a migration outlives the code of its day."""
    if kind == "type" and isinstance(item, TypeDecorator):
        if isinstance(item.impl, String):
            return "sa.String()"
        return f"sa.{item.impl!r}"
    return False


def is_ours(name: str | None, kind: str, _: Any) -> bool:
    """Whether a thing in the database is described by a model; the words of the search (0008) are by none."""
    return not str(name).startswith(("search_term", "ix_search_document_terms")) or kind not in ("table", "index")


config = context.config
context.configure(
    connection=config.attributes["connection"],
    target_metadata=config.attributes["metadata"],
    transactional_ddl=False,
    render_item=render_plainly,
    include_name=is_ours,
)
context.run_migrations()
