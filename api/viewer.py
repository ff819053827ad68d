"""The viewer: everything that the signed-in person may ask about themselves."""

from typing import Annotated

import strawberry

from api.ahead import read_ahead
from api.community.calendar import CalendarFeed, viewer_feed
from api.community.communities import Community, InvitationConnection, community_of, invitation_page
from api.community.discovery import NearInput
from api.community.feed import FeedItem, feed_page
from api.community.recommendations import RecommendedCommunityConnection, recommendation_page
from api.community.recommended_events import RecommendedEventConnection, recommended_event_page
from api.community.recommended_people import (
    RecommendedPersonConnection,
    recommended_people_page,
    viewer_is_discoverable,
)
from api.community.registrations import Registration, registration_page
from api.context import Info
from api.customers.needs import Need, viewer_needs
from api.customers.needs import OfStatus as NeedsOfStatus
from api.customers.profiles import Customer, load_customer
from api.loyalty.earning import Earning, earning_page
from api.loyalty.ledger import (
    Account,
    BookedBefore,
    BookedFrom,
    Kinds,
    LedgerEntry,
    Points,
    ledger_page,
    points_of,
)
from api.loyalty.redemption import Redemption, redemption_page
from api.loyalty.vouchers import Voucher, voucher_page
from api.referrals.attribution import Referral, viewer_referrals
from api.referrals.codes import ReferralCode, viewer_code, viewer_codes
from api.referrals.prompting import ReferralPrompt, viewer_prompt
from api.relay import After, Before, Connection, CountedConnection, First, Last, connection, local_id
from api.service.notifications import (
    Notification,
    NotificationPreference,
    notification_page,
    preference_list,
    unread_count,
)
from community.communities import own_communities
from community.seats import RegistrationStatus
from core.paging import window
from core.principal import Role
from loyalty.redemption_records import RedemptionStatus
from loyalty.statements import LedgerFilter
from loyalty.vouchers import VoucherStatus

Program = Annotated[strawberry.ID, strawberry.argument(description="Global id of the programme.")]

strawberry.enum(Role, name="Role", description="What the sign-in says of the bearer.")


@strawberry.type(description="The signed-in person.")
class Viewer:
    subject: str = strawberry.field(description="How the sign-in names you.")
    roles: list[Role] = strawberry.field(description="Your roles.")

    @strawberry.field(description="Your customer profile; null until you sign up.")
    async def customer(self, info: Info) -> Customer | None:
        customer_id = await info.context.viewer_id()
        if not customer_id:
            return None
        read_ahead(info, tags=lambda: info.context.loaders.customer_tags.load(customer_id))
        return await load_customer(info, customer_id)

    @strawberry.field(description="Your communities.")
    async def communities(
        self, info: Info, first: First = None, after: After = None, last: Last = None, before: Before = None
    ) -> Connection[Community]:
        customer_id = await info.context.viewer_id() or ""
        size, place = window(first, after, last, before)
        page = await own_communities(info.context.graph, customer_id, first=size, after=place)
        info.context.loaders.communities.prime_many({row["id"]: row for row in page.rows})
        return connection(page, place, lambda row: community_of(row, info))

    @strawberry.field(description="Communities that invite you.")
    async def invitations(
        self, info: Info, first: First = None, after: After = None, last: Last = None, before: Before = None
    ) -> InvitationConnection:
        size, place = window(first, after, last, before)
        return await invitation_page(info, size, place)

    @strawberry.field(description="Communities that fit you, the best first; with `tag`, those about it.")
    async def recommended_communities(
        self,
        info: Info,
        tag: Annotated[
            str | None,
            strawberry.argument(description="Key of a tag that they are to have, or one that was merged into it."),
        ] = None,
        first: First = None,
        after: After = None,
    ) -> RecommendedCommunityConnection:
        return await recommendation_page(info, tag, first, after)

    @strawberry.field(
        description="Events to come to, the best first: of your communities, about your tags, or to which people come "
        "whom you know; sooner and, with `near`, nearer ones before others."
    )
    async def recommended_events(
        self,
        info: Info,
        near: Annotated[NearInput | None, strawberry.argument(description="Around which place.")] = None,
        first: First = None,
        after: After = None,
    ) -> RecommendedEventConnection:
        return await recommended_event_page(info, near, first, after)

    @strawberry.field(
        description="People whom you might like to know, the closest first: of your smaller communities, who chose to "
        "be found, and whom you do not know."
    )
    async def recommended_people(
        self, info: Info, first: First = None, after: After = None
    ) -> RecommendedPersonConnection:
        return await recommended_people_page(info, first, after)

    @strawberry.field(description="Whether others may find you; see setDiscoverability.")
    async def is_discoverable(self, info: Info) -> bool:
        return await viewer_is_discoverable(info)

    @strawberry.field(description="The newest posts and published events of all your communities.")
    async def feed(
        self, info: Info, first: First = None, after: After = None, last: Last = None, before: Before = None
    ) -> Connection[FeedItem]:
        size, place = window(first, after, last, before)
        return await feed_page(info, size, place)

    @strawberry.field(description="Your registrations, the latest first.")
    async def registrations(
        self,
        info: Info,
        statuses: Annotated[
            list[RegistrationStatus] | None, strawberry.argument(description="Only these; null: all of them.")
        ] = None,
        upcoming: Annotated[bool, strawberry.argument(description="Only for events that have not ended.")] = False,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> CountedConnection[Registration]:
        size, place = window(first, after, last, before)
        return await registration_page(info, statuses, upcoming, size, place)

    @strawberry.field(description="Your code and link in a programme; made at the first asking.")
    async def referral_code(self, info: Info, program_id: Program) -> ReferralCode:
        return await viewer_code(info, local_id("ReferralProgram", program_id, "programId"))

    @strawberry.field(description="The codes that you have had in a programme, the latest first.")
    async def referral_codes(
        self,
        info: Info,
        program_id: Program,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Connection[ReferralCode]:
        return await viewer_codes(
            info, local_id("ReferralProgram", program_id, "programId"), *window(first, after, last, before)
        )

    @strawberry.field(description="Whether you are to be asked to refer others in a programme.")
    async def referral_prompt(self, info: Info, program_id: Program) -> ReferralPrompt:
        return await viewer_prompt(info, local_id("ReferralProgram", program_id, "programId"))

    @strawberry.field(description="The customers whom you brought, the latest first.")
    async def referrals(
        self, info: Info, first: First = None, after: After = None, last: Last = None, before: Before = None
    ) -> Connection[Referral]:
        return await viewer_referrals(info, *window(first, after, last, before))

    @strawberry.field(description="Your points.")
    async def points(self, info: Info) -> Points:
        return await points_of(info)

    @strawberry.field(description="Your entries in the ledger, the latest first; each keeps its running balance.")
    async def ledger(
        self,
        info: Info,
        account: Account = None,
        kinds: Kinds = None,
        booked_from: BookedFrom = None,
        booked_before: BookedBefore = None,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Connection[LedgerEntry]:
        size, place = window(first, after, last, before)
        wanted = LedgerFilter(account, kinds, booked_from, booked_before)
        return await ledger_page(info, size, place, wanted)

    @strawberry.field(description="What you earned by rules and why it is less where it is, the latest facts first.")
    async def earnings(
        self, info: Info, first: First = None, after: After = None, last: Last = None, before: Before = None
    ) -> Connection[Earning]:
        return await earning_page(info, await info.context.viewer_id(), *window(first, after, last, before))

    @strawberry.field(description="Your redemptions, the latest first.")
    async def redemptions(
        self,
        info: Info,
        statuses: Annotated[
            list[RedemptionStatus] | None, strawberry.argument(description="Only these; null: all of them.")
        ] = None,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Connection[Redemption]:
        return await redemption_page(info, statuses, *window(first, after, last, before))

    @strawberry.field(description="Your vouchers, the latest first: by default what can be shown at a counter now.")
    async def vouchers(
        self,
        info: Info,
        status: Annotated[
            VoucherStatus | None, strawberry.argument(description="Only these; null: all of them.")
        ] = VoucherStatus.VALID,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Connection[Voucher]:
        size, place = window(first, after, last, before)
        return await voucher_page(info, status, size, place)

    @strawberry.field(description="What you were told, the latest first; with `unreadOnly` what you have not read.")
    async def notifications(
        self,
        info: Info,
        unread_only: Annotated[bool, strawberry.argument(description="Only what you have not read.")] = False,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Connection[Notification]:
        return await notification_page(info, unread_only, *window(first, after, last, before))

    @strawberry.field(description="How many notices you have not read; counted up to 100.")
    async def unread_count(self, info: Info) -> int:
        return await unread_count(info)

    @strawberry.field(description="What you have told us that you need, or confirmed, the latest first.")
    async def needs(
        self,
        info: Info,
        status: NeedsOfStatus = None,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Connection[Need]:
        return await viewer_needs(info, status, *window(first, after, last, before))

    @strawberry.field(description="Your private calendar address; null when you have none.")
    async def calendar_feed(self, info: Info) -> CalendarFeed | None:
        return await viewer_feed(info)

    @strawberry.field(description="Which kinds of notices you want.")
    async def notification_preferences(self, info: Info) -> list[NotificationPreference]:
        return await preference_list(info)


@strawberry.type
class ViewerQueries:
    @strawberry.field(description="The signed-in person.")
    async def viewer(self, info: Info) -> Viewer:
        principal = info.context.signed_in()
        return Viewer(subject=principal.subject, roles=sorted(principal.roles))
