"""What the figures of a programme have in common: which programme, and which span of time."""

from datetime import datetime, timedelta

from core.db import Session
from core.errors import BadUserInput, NotFound
from referrals.programs import ProgramStatus, ReferralProgram

LONGEST_WINDOW = timedelta(days=366)


class WindowInvalid(BadUserInput):
    code = "WINDOW_INVALID"
    en = "The span of time asked for is not valid."
    zh = "查询的时间范围无效。"


def check_window(start: datetime, end: datetime) -> None:
    """Raise WindowInvalid for a span that ends before it starts, or is longer than 366 days."""
    if end <= start:
        raise WindowInvalid(path=("to",), detail="after `from`")
    if end - start > LONGEST_WINDOW:
        raise WindowInvalid(path=("to",), detail=f"at most {LONGEST_WINDOW.days} days after `from`")


async def known_program(session: Session, program_id: str) -> ReferralProgram:
    """The programme; raises NotFound where there is none, or it is still a draft."""
    program = await session.get(ReferralProgram, program_id)
    if program is None or program.status == ProgramStatus.DRAFT:
        raise NotFound(path=("programId",))
    return program
