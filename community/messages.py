"""Messages to everybody who registered for an event, from those who run it; the worker tells each of them once."""

from collections.abc import Collection
from datetime import datetime, timedelta

from community.event_changes import CONCERNED_BY_DEFAULT
from community.event_rows import EventStatus
from community.events import audited
from community.running import check_runs
from community.seats import RegistrationStatus
from core.clock import iso
from core.errors import BadUserInput, NotFound, Refusal
from core.ids import new_id
from graph.client import GraphClient, Row, Transaction
from graph.owed import Effect, owe_effects

EVENT_MESSAGE = "event.message"
LONGEST_TEXT = 1000
MOST_MESSAGES = 5
DAY = timedelta(hours=24)


class MessageInvalid(BadUserInput):
    code = "MESSAGE_INVALID"
    en = "The message is not valid."
    zh = "消息内容无效。"


class TooManyMessages(Refusal):
    code = "TOO_MANY_MESSAGES"
    en = "There were five messages about this event within a day. Please wait."
    zh = "该活动24小时内已发送5条消息，请稍后再试。"


LOCK_EVENT = """
MATCH (e:Event {id: $event_id})
SET e.touched_at = $now
RETURN e.community_id AS community_id, e.status AS status, coalesce(e.messages, []) AS messages
"""

# The instants of the messages within a day, so that the list stays as short as the limit.
NOTE_MESSAGE = "MATCH (e:Event {id: $event_id}) SET e.messages = $messages"


async def message_registrants(
    graph: GraphClient,
    *,
    event_id: str,
    text_zh: str,
    text_en: str,
    statuses: Collection[RegistrationStatus] = CONCERNED_BY_DEFAULT,
    sender_id: str,
    now: datetime,
) -> None:
    """Owe everybody with one of the statuses a notice with the text in their language; the audit keeps the words.

    Raises NotFound where the sender does not run the event or it is a draft, MessageInvalid, TooManyMessages.
    """
    texts = {"text_zh": checked_text("textZh", text_zh), "text_en": checked_text("textEn", text_en)}
    if not statuses:
        raise MessageInvalid(path=("statuses",), detail="at least one")
    message_id, chosen = new_id(), sorted(set(statuses))

    async def work(tx: Transaction) -> None:
        await check_runs(tx, event_id, sender_id)
        event = (await tx.run(LOCK_EVENT, event_id=event_id, now=iso(now)))[0]
        await count_message(tx, event_id, event, now)
        about = {"event_id": event_id, "community_id": event["community_id"], **texts}
        payload = {"event_id": event_id, "message_id": message_id, "statuses": chosen, "data": about}
        done = audited(
            event["community_id"],
            sender_id,
            "REGISTRANTS_MESSAGED",
            event_id,
            key=message_id,
            now=now,
            statuses=chosen,
            **texts,
        )
        await owe_effects(tx, [Effect(EVENT_MESSAGE, f"{event_id}:{message_id}", payload), done], now=now)

    await graph.transact(work, contended=event_id)


def checked_text(name: str, text: str) -> str:
    """The words without space around; no SQL engine in which notices are kept takes a NUL."""
    words = text.strip()
    if not 1 <= len(words) <= LONGEST_TEXT or "\0" in words:
        raise MessageInvalid(path=(name,), detail=f"1 to {LONGEST_TEXT} characters, none of them NUL")
    return words


async def count_message(tx: Transaction, event_id: str, event: Row, now: datetime) -> None:
    """Count one more under the event's lock; raises NotFound for a draft, TooManyMessages."""
    if event["status"] == EventStatus.DRAFT:
        raise NotFound(path=("eventId",))
    recent = [at for at in event["messages"] if at > iso(now - DAY)]
    if len(recent) >= MOST_MESSAGES:
        raise TooManyMessages(path=("eventId",))
    await tx.run(NOTE_MESSAGE, event_id=event_id, messages=[*recent, iso(now)])
