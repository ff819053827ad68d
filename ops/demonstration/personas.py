"""The people of the demonstration bank who can sign in, with what their first screens show."""

from collections.abc import Iterator

from api.issuer.personas import PERSONA_BY_KEY
from ops.demonstration.places import Places
from ops.demonstration.rows import Row, attendance_rows, customer_key, fact_row, membership_row

# Customers by number; who signs in as anybody else of the personas has no profile, which is how a newcomer starts.
REFERRER, COMMUNITY_OWNER = "lin-yue", "chen-hao"
RELATIONSHIP_MANAGER = "zhou-min"
PERSONA_NUMBERS: dict[int, str] = {0: REFERRER, 1: COMMUNITY_OWNER}
WELCOMED = "CUSTOMER_WELCOMED"
# The community that the owner runs, and those that the referrer belongs to, by number.
OWNED_COMMUNITY = 0
COMMUNITIES_OF_REFERRER = (0, 1, 24)

NUMBER_OF = {key: number for number, key in PERSONA_NUMBERS.items()}
PERSONA_OF_KEY = {customer_key(number): PERSONA_BY_KEY[key] for number, key in PERSONA_NUMBERS.items()}


def with_persona(row: Row) -> Row:
    """The customer's row, with a persona's name and subject where it is one."""
    persona = PERSONA_OF_KEY.get(row["key"])
    if persona is None:
        return row
    named = {"display_name": persona.name_zh, "full_name": persona.name_zh, "subject": persona.subject}
    return {**row, **named, "relationship_manager": RELATIONSHIP_MANAGER}


def persona_rows(places: Places) -> Iterator[Row]:
    """Their memberships, an event that each has attended, and the welcome points of the referrer."""
    calendar = places.calendar
    referrer, owner = (customer_key(NUMBER_OF[key]) for key in (REFERRER, COMMUNITY_OWNER))
    yield membership_row(owner, OWNED_COMMUNITY, "OWNER", calendar.at(-600, 10))
    for nth, community in enumerate(COMMUNITIES_OF_REFERRER):
        yield membership_row(referrer, community, "MEMBER", calendar.at(-400 + 30 * nth, 20))
    event = places.events[OWNED_COMMUNITY][1]
    for customer in (referrer, owner):
        yield from attendance_rows(customer, event, calendar)
    yield fact_row(WELCOMED, referrer, calendar.at(-20, 9))
