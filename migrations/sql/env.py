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


config = context.config
context.configure(
    connection=config.attributes["connection"],
    target_metadata=config.attributes["metadata"],
    transactional_ddl=False,
    render_item=render_plainly,
)
context.run_migrations()
