"""Rows that say since when they are known: a newer one corrects, an older one that comes late changes nothing."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlmodel import SQLModel

from core.db import Session, insert_into, insert_rows, table_of

Values = Mapping[str, Any]


async def put_newest(
    session: Session,
    model: type[SQLModel],
    rows: Sequence[Values],
    *keys: str,
    kept: Sequence[str] = (),
    by: str = "observed_at",
) -> int:
    """Write many rows in one statement; returns how many told something newer, the others are as if never sent.

    Of two with one instant the first stays. So the rows end the same in whatever order and however often they come.
    `kept` are columns that a correction leaves as they were.
    """
    newest: dict[tuple[Any, ...], Values] = {}
    for row in rows:
        key = tuple(row[name] for name in keys)
        if key not in newest or row[by] > newest[key][by]:
            newest[key] = row
    statement = insert_into(session, model)
    table = table_of(model)
    columns = [name for name in next(iter(newest.values()), {}) if name not in (*keys, *kept)]
    upsert = statement.on_conflict_do_update(
        index_elements=list(keys),
        set_={name: statement.excluded[name] for name in columns},
        where=statement.excluded[by] > table.c[by],
    )
    # Two writers of the same rows take them in one order, so that they wait for each other and never in a circle.
    ordered = [newest[key] for key in sorted(newest, key=repr)]
    return len(await insert_rows(session, upsert.returning(*table.primary_key), ordered))
