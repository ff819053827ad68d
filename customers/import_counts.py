"""How many rows of each kind an import took, refused, and found unchanged."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlmodel import Field, col, select

from core.db import Record, Session, insert_into, insert_rows, table_of


class ImportCount(Record, table=True):
    """The rows of one kind; those that cannot be read, or are of no kind, have the empty one.

    `unchanged` counts the accepted ones that told nothing new; null where the kind cannot tell.
    """

    batch_id: str = Field(primary_key=True, foreign_key="import_batch.id")
    kind: str = Field(primary_key=True)
    accepted: int = 0
    rejected: int = 0
    unchanged: int | None = None


@dataclass(slots=True)
class Counts:
    """The counts of one import so far."""

    batch_id: str
    accepted: Counter[str] = field(default_factory=Counter[str])
    rejected: Counter[str] = field(default_factory=Counter[str])
    unchanged: dict[str, int] = field(default_factory=dict[str, int])

    def add(self, kind: str, *, accepted: int = 0, rejected: int = 0, unchanged: int | None = None) -> None:
        self.accepted[kind] += accepted
        self.rejected[kind] += rejected
        if unchanged is not None:
            self.unchanged[kind] = self.unchanged.get(kind, 0) + unchanged

    async def keep(self, session: Session) -> None:
        """Write the counts as they stand, in the transaction of the rows that they count."""
        kinds = sorted(self.accepted.keys() | self.rejected.keys())
        rows = [
            {
                "batch_id": self.batch_id,
                "kind": kind,
                "accepted": self.accepted[kind],
                "rejected": self.rejected[kind],
                "unchanged": self.unchanged.get(kind),
            }
            for kind in kinds
        ]
        statement = insert_into(session, ImportCount)
        changed = {name: statement.excluded[name] for name in ("accepted", "rejected", "unchanged")}
        upsert = statement.on_conflict_do_update(index_elements=["batch_id", "kind"], set_=changed)
        await insert_rows(session, upsert.returning(table_of(ImportCount).c.kind), rows)


async def counts_of(session: Session, batch_id: str) -> Sequence[ImportCount]:
    """The counts of an import by kind."""
    statement = select(ImportCount).where(ImportCount.batch_id == batch_id)
    return (await session.exec(statement.order_by(col(ImportCount.kind)))).all()
