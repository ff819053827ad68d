"""Who a row is about: one person is one profile, and where that is not sure a person decides."""

import asyncio
from collections.abc import Sequence
from datetime import date
from typing import Any

import pytest
from sqlmodel import col, select

from core.clock import utc_now
from core.db import Database
from core.principal import Principal, Role
from customers.personal import PersonalData, personal_data_of
from customers.profiles import Customer, CustomerAlias, customer_id_from, sign_up
from customers.reviews import (
    Cause,
    IdentityReview,
    IdentityReviewCustomer,
    ReviewChoiceInvalid,
    ReviewStatus,
    decide_review,
)
from graph.client import GraphClient
from segments.traits import CustomerTrait
from tests.conftest import Addresses
from tests.customers.test_imports import HASH_KEY, Imports, customer, lines
from tests.customers.test_imports import imports as imports

pytestmark = pytest.mark.anyio


def number_of(unique: str, place: int = 0) -> str:
    """A telephone number that no other test uses."""
    return f"+86139{(int(unique[-12:], 16) + place) % 10**8:08d}"


async def reviews_of(imports: Imports, key: str) -> list[IdentityReview]:
    async with imports.database.read() as session:
        statement = select(IdentityReview).where(IdentityReview.source == imports.source, IdentityReview.key == key)
        return list((await session.exec(statement)).all())


async def id_in(imports: Imports, source: str, key: str) -> str:
    return (await imports.ids(f"{imports.source}-{source}"))[key]


async def run(imports: Imports, source: str, *rows: dict[str, Any]) -> tuple[int, int, int]:
    """Accepted, rejected, reviewed."""
    report = await imports.run(lines(*rows), source=f"{imports.source}-{source}")
    return report.accepted, report.rejected, report.reviewed


def verified(imports: Imports, place: int = 0) -> dict[str, Any]:
    return {"phone": number_of(imports.source, place), "phone_verified": True}


async def test_a_verified_contact_is_the_same_person(imports: Imports) -> None:
    """Given phones and mails verified by both sides, by one, by none; then only those verified by both are one."""
    mail = {"email": f"x{imports.source}@example.com"}
    assert await run(imports, "a", customer("1", **verified(imports)), customer("2", **mail, email_verified=True)) == (
        2,
        0,
        0,
    )
    await run(imports, "b", customer("1", **verified(imports)), customer("2", **mail))
    await run(imports, "c", customer("1", phone=number_of(imports.source)), customer("2", **mail, email_verified=True))
    a, b, c = [await imports.ids(f"{imports.source}-{one}") for one in "abc"]
    assert a["1"] == b["1"] != c["1"]
    assert a["2"] == c["2"] != b["2"]
    # A phone that a source corrects is not verified by that.
    await run(imports, "a", customer("1", phone=number_of(imports.source, 1)))
    await run(imports, "d", customer("1", **verified(imports, 1)))
    assert await id_in(imports, "d", "1") != a["1"]


@pytest.mark.parametrize("is_one_batch", [True, False])
async def test_who_has_another_contact_is_not_found_by_the_former(imports: Imports, *, is_one_batch: bool) -> None:
    """Given somebody whose verified phone and mail change; when others have the former ones; then they are others."""
    mails = [{"email": f"{place}{imports.source}@example.com", "email_verified": True} for place in "ab"]
    await run(imports, "a", customer("1", **verified(imports)), customer("2", **mails[0]))
    rows = (
        customer("1", phone=number_of(imports.source, 1)),
        customer("2", **mails[1]),
        customer("3", **verified(imports)),
        customer("4", **mails[0]),
    )
    for some in [rows] if is_one_batch else [[row] for row in rows]:
        assert await run(imports, "a", *some) == (len(some), 0, 0)
    ids = await imports.ids(f"{imports.source}-a")
    assert len(set(ids.values())) == 4


async def test_documents_that_are_corrected_in_one_file_go_in(imports: Imports) -> None:
    """Given two who have each other's document; when the first's is put right and then the second's; then both are."""
    one, two, three = [f"{letter}{imports.source}" for letter in "ABC"]
    await imports.run(lines(customer("1", document=one), customer("2", document=two)))
    ids = await imports.ids()
    late, early = sorted(ids, key=lambda key: ids[key], reverse=True)
    held = {"1": one, "2": two}
    # The one whose row is written later gives up what the earlier takes.
    report = await imports.run(lines(customer(late, document=three), customer(early, document=held[late])))
    assert (report.accepted, report.reviewed) == (2, 0)
    assert await imports.ids() == ids
    assert await run(imports, "b", customer("1", document=held[late])) == (1, 0, 0)
    assert await id_in(imports, "b", "1") == ids[early]


async def test_another_document_is_another_person(imports: Imports) -> None:
    """Given one verified phone and two documents; then two profiles, and no review."""
    await run(imports, "a", customer("1", document=f"A{imports.source}", **verified(imports)))
    assert await run(imports, "b", customer("1", document=f"B{imports.source}", **verified(imports))) == (1, 0, 0)
    assert await id_in(imports, "a", "1") != await id_in(imports, "b", "1")


async def test_the_same_rules_hold_within_one_batch(imports: Imports) -> None:
    """Given two rows with one document, two with one phone, and one that names both; then two profiles, one review."""
    document = f"D{imports.source}"
    rows = (
        customer("1", document=document),
        customer("2", document=document.lower()),
        customer("3", **verified(imports)),
        customer("4", **verified(imports)),
        customer("5", document=document, **verified(imports)),
    )
    report = await imports.run(lines(*rows))
    ids = await imports.ids()
    assert (report.accepted, report.rejected, report.reviewed) == (4, 0, 1)
    assert ids["1"] == ids["2"] != ids["3"] == ids["4"]
    (review,) = await reviews_of(imports, "5")
    assert {(one.cause, one.customer_id) for one in review.found} == {
        (Cause.DOCUMENT, ids["1"]),
        (Cause.PHONE, ids["3"]),
    }
    # The same file again makes no second item.
    again = await imports.run(lines(*rows))
    assert (again.accepted, again.rejected, again.reviewed) == (4, 0, 1)
    assert len(await reviews_of(imports, "5")) == 1
    assert "5" not in await imports.ids()


async def test_what_was_kept_apart_goes_in_the_next_time(imports: Imports) -> None:
    """Given a row that names two customers; when it is decided for one, or for neither; then it goes in as decided."""
    document = f"D{imports.source}"
    rows = lines(
        customer("1", document=document),
        customer("2", **verified(imports)),
        customer("3", document=document, **verified(imports), full_name="王三"),
        customer("4", document=document, **verified(imports)),
    )
    await imports.run(rows)
    ids = await imports.ids()
    for key, chosen in (("3", ids["2"]), ("4", None)):
        (review,) = await reviews_of(imports, key)
        await decide(imports, review.id, ReviewStatus.KEPT_APART, chosen)
    report = await imports.run(rows)
    after = await imports.ids()
    assert (report.accepted, report.reviewed) == (4, 0)
    assert after["3"] == ids["2"]
    assert after["4"] == customer_id_from(HASH_KEY, imports.source, "4") not in ids.values()
    async with imports.database.read() as session:
        one, two, four = [await session.get_one(Customer, id) for id in (ids["1"], ids["2"], after["4"])]
        personal = await personal_data_of(session, two.id)
    assert one.identity_hash is not None
    assert (two.identity_hash, four.identity_hash) == (None, None)
    assert personal is not None
    assert personal.full_name == "王三"


async def test_a_review_is_not_decided_so_that_its_row_can_never_go_in(imports: Imports) -> None:
    """Given a row whose name is one customer's and whose phone another's, and one that names one; then as it can go."""
    await imports.run(lines(customer("1"), customer("2", **verified(imports))))
    await imports.run(lines(customer("1", **verified(imports))))
    subject = f"s-{imports.source}"
    async with imports.database.write() as session:
        principal = Principal(subject, frozenset({Role.CUSTOMER}), frozenset(), 0)
        await sign_up(session, principal, display_name="吴昕", hash_key=HASH_KEY, now=utc_now())
    await imports.run(lines(customer("3", subject=subject, document=f"A{imports.source}")))
    await run(imports, "b", customer("1", subject=subject, document=f"B{imports.source}"))
    ids = await imports.ids()
    (two,) = await reviews_of(imports, "1")
    async with imports.database.read() as session:
        statement = select(IdentityReview).where(IdentityReview.source == f"{imports.source}-b")
        (one,) = (await session.exec(statement)).all()
    for review, status, chosen in (
        (two, ReviewStatus.KEPT_APART, ids["2"]),
        (two, ReviewStatus.OPEN, ids["1"]),
        (two, ReviewStatus.MERGED, None),
        (one, ReviewStatus.MERGED, ids["3"]),
    ):
        with pytest.raises(ReviewChoiceInvalid):
            await decide(imports, review.id, status, chosen)
    await decide(imports, two.id, ReviewStatus.KEPT_APART, ids["1"])
    await decide(imports, one.id, ReviewStatus.KEPT_APART, None)
    assert (await imports.run(lines(customer("1", **verified(imports))))).reviewed == 0
    assert (await run(imports, "b", customer("1", subject=subject, document=f"B{imports.source}")))[0] == 1
    assert (await imports.ids())["1"] == ids["1"]


async def decide(imports: Imports, review_id: str, status: ReviewStatus, chosen: str | None) -> None:
    async with imports.database.write() as session:
        await decide_review(
            session, review_id, status, customer_id=chosen, actor="he-jing", reason="seen both", now=utc_now()
        )


async def test_who_signs_in_with_another_document_is_reviewed(imports: Imports) -> None:
    """Given a profile by sign-in that has a document; when another source tells its subject with another; review."""
    subject = f"s-{imports.source}"
    async with imports.database.write() as session:
        principal = Principal(subject, frozenset({Role.CUSTOMER}), frozenset(), 0)
        await sign_up(session, principal, display_name="吴昕", hash_key=HASH_KEY, now=utc_now())
    assert await run(imports, "a", customer("1", subject=subject, document=f"A{imports.source}")) == (1, 0, 0)
    assert await run(imports, "b", customer("1", subject=subject, document=f"B{imports.source}")) == (0, 0, 1)
    # The same source may correct what it said.
    assert await run(imports, "a", customer("1", document=f"C{imports.source}")) == (1, 0, 0)


async def test_a_birth_is_a_month_for_everybody_and_a_day_for_few(imports: Imports) -> None:
    """Given a birth date, told twice and corrected; then the trait has its month, and the date is sealed."""
    await imports.run(lines(customer("1", birth_date="1970-05-17")))
    first = await born(imports)
    await imports.run(lines(customer("1", birth_date="1970-05-17")))
    assert await born(imports) == first
    assert first.day == date(1970, 5, 1)
    await imports.run(lines(customer("1", birth_date="1971-06-18")))
    assert (await born(imports)).day == date(1971, 6, 1)
    async with imports.database.read() as session:
        id = (await imports.ids())["1"]
        assert await personal_data_of(session, id) == PersonalData(birth_date=date(1971, 6, 18))
        assert "1971" not in str((await session.get_one(Customer, id)).birth_date)


async def born(imports: Imports) -> CustomerTrait:
    async with imports.database.read() as session:
        id = (await imports.ids())["1"]
        return (await session.exec(select(CustomerTrait).where(CustomerTrait.customer_id == id))).one()


WRITERS = 8


async def test_many_imports_at_once_make_one_profile_of_one_person(
    stores: Addresses, graph: GraphClient, unique: str
) -> None:
    """Given eight sources at once that know one document and one phone; then two profiles, each with eight aliases."""
    pools = [Database(stores.database_url, timeout=60, keys=stores.database().keys) for _ in range(WRITERS)]
    everybody = [Imports(pool, graph, f"{unique}-{place}") for place, pool in enumerate(pools)]
    phone = {"phone": number_of(unique), "phone_verified": True}
    try:
        rows = [
            lines(*turned(place, customer("d", document=unique), customer("p", **phone))) for place in range(WRITERS)
        ]
        reports = await asyncio.gather(*(one.run(rows[place]) for place, one in enumerate(everybody)))
    finally:
        for pool in pools:
            await pool.close()
    assert [(one.accepted, one.reviewed) for one in reports] == [(2, 0)] * WRITERS
    database = stores.database()
    async with database.read() as session:
        statement = select(CustomerAlias).where(col(CustomerAlias.source).like(f"{unique}-%"))
        aliases = (await session.exec(statement)).all()
        people = {alias.customer_id for alias in aliases}
        found = (await session.exec(select(Customer.id).where(col(Customer.id).in_(people)))).all()
    await database.close()
    assert len(aliases) == 2 * WRITERS
    assert len(people) == len(found) == 2
    assert len({alias.customer_id for alias in aliases if alias.key == "d"}) == 1


def turned(place: int, *rows: dict[str, Any]) -> Sequence[dict[str, Any]]:
    return rows if place % 2 else rows[::-1]


async def test_a_review_names_its_customers_for_whoever_looks_for_one(imports: Imports) -> None:
    document = f"D{imports.source}"
    await imports.run(lines(customer("1", document=document), customer("2", **verified(imports))))
    await imports.run(lines(customer("3", document=document, **verified(imports))))
    ids, (review,) = await imports.ids(), await reviews_of(imports, "3")
    async with imports.database.read() as session:
        statement = select(IdentityReviewCustomer.customer_id).where(IdentityReviewCustomer.review_id == review.id)
        assert set((await session.exec(statement)).all()) == {ids["1"], ids["2"]}
    told = str(review.model_dump())
    assert number_of(imports.source)[3:] not in told
    assert document not in told
