"""Articles in two languages: written by staff, reviewed by a second person, and read in a feed by tags."""

from datetime import datetime
from typing import Annotated

import strawberry

from api.context import Info
from api.customers.looked_after import is_staff, staff
from api.customers.profiles import Tag
from api.refusals import Refusal, refusals, result_union
from api.relay import After, Before, Connection, First, Last, Node, connection, global_id, local_id
from core.paging import Page, window
from graph.eligibility import Tier
from segments.tagging import Tag as TagRow
from segments.tagging import TagFamily
from service.content import ContentArticle as ArticleRow
from service.content import (
    ContentStatus,
    NewContent,
    create_content,
    list_content,
    publish_content,
    retire_content,
    review_content,
    update_content,
)
from service.content_announcements import announce_content
from service.content_feeds import Fed, content_feed, may_read_article

strawberry.enum(
    ContentStatus,
    name="ContentStatus",
    description="DRAFT until a review approves it; what is changed afterwards is a draft again. RETIRED is final.",
)


@strawberry.type(description="How an article came to be; for staff.")
class ContentEditing:
    status: ContentStatus = strawberry.field(description="How far it is.")
    revision: int = strawberry.field(description="Which version of it this is; a review is of one.")
    title_zh: str = strawberry.field(description="Its title in Chinese.")
    title_en: str = strawberry.field(description="Its title in English.")
    body_zh: str = strawberry.field(description="Its text in Chinese, in Markdown.")
    body_en: str = strawberry.field(description="Its text in English, in Markdown.")
    created_by: str = strawberry.field(description="Who began it.")
    created_at: datetime = strawberry.field(description="When.")
    changed_by: str = strawberry.field(description="Who changed it last.")
    changed_at: datetime = strawberry.field(description="When.")
    reviewed_by: str | None = strawberry.field(description="Who reviewed it last.")
    reviewed_at: datetime | None = strawberry.field(description="When.")
    review_note: str | None = strawberry.field(description="What the reviewer noted.")
    published_by: str | None = strawberry.field(description="Who published it.")
    retired_by: str | None = strawberry.field(description="Who retired it.")
    retired_at: datetime | None = strawberry.field(description="When.")


@strawberry.type(description="An article.")
class ContentArticle(Node):
    title: str = strawberry.field(description="Its title in the language of the request.")
    body: str = strawberry.field(description="Its text, likewise, in Markdown.")
    minimum_tier: Tier = strawberry.field(description="For customers from this tier on.")
    published_at: datetime | None = strawberry.field(description="When it was published; null: not yet.")
    row: strawberry.Private[ArticleRow]

    @strawberry.field(description="What it is about; empty: it is for everybody.")
    async def tags(self, info: Info) -> list[Tag]:
        return [tag_of(row, info) for row in await info.context.messaging.content_tags.load(self.row.id)]

    @strawberry.field(description="How it came to be; null for customers.")
    async def editing(self, info: Info) -> ContentEditing | None:
        return editing_of(self.row) if is_staff(info) else None


@strawberry.type(description="A tag by which an article came into a feed.")
class ContentReason:
    tag: Tag = strawberry.field(description="A tag that you and the article have.")
    weight: float = strawberry.field(description="How sure it is that you have it, 0 to 1.")


@strawberry.type(description="An article that fits you, and why.")
class FedContent:
    content: ContentArticle = strawberry.field(description="The article.")
    fed: strawberry.Private[Fed]

    @strawberry.field(description="The tags by which it came, the surest first; empty: it is for everybody.")
    async def because(self, info: Info) -> list[ContentReason]:
        tags = {row.key: row for row in await info.context.messaging.content_tags.load(self.fed.article.id)}
        shared = [(tags[key], weight) for key, weight in self.fed.because if key in tags]
        return [ContentReason(tag=tag_of(row, info), weight=weight) for row, weight in shared]


def tag_of(row: TagRow, info: Info) -> Tag:
    return Tag(key=row.key, name=info.context.text(row, "name"), family=TagFamily(row.family))


def content_of(row: ArticleRow, info: Info) -> ContentArticle:
    return ContentArticle(
        id=global_id("ContentArticle", row.id),
        title=info.context.text(row, "title"),
        body=info.context.text(row, "body"),
        minimum_tier=Tier(row.minimum_tier),
        published_at=row.published_at,
        row=row,
    )


def editing_of(row: ArticleRow) -> ContentEditing:
    return ContentEditing(
        status=ContentStatus(row.status),
        revision=row.revision,
        title_zh=row.title_zh,
        title_en=row.title_en,
        body_zh=row.body_zh,
        body_en=row.body_en,
        created_by=row.created_by,
        created_at=row.created_at,
        changed_by=row.changed_by,
        changed_at=row.changed_at,
        reviewed_by=row.reviewed_by,
        reviewed_at=row.reviewed_at,
        review_note=row.review_note,
        published_by=row.published_by,
        retired_by=row.retired_by,
        retired_at=row.retired_at,
    )


async def load_content(info: Info, local: str) -> ContentArticle | None:
    """An article: any for staff, for customers a published one that is open to their tier."""
    context = info.context
    viewer = None if is_staff(info) else await context.viewer_id()
    async with context.database.read() as session:
        row = await session.get(ArticleRow, local)
        if row is None or (viewer is None and not is_staff(info)):
            return None
        if viewer is not None and not await may_read_article(session, viewer, row, now=context.now):
            return None
    return content_of(row, info)


@strawberry.input(description="What an article says and for whom it is.")
class ContentInput:
    title_zh: str = strawberry.field(description="1 to 120 characters.")
    title_en: str = strawberry.field(description="1 to 120 characters.")
    body_zh: str = strawberry.field(description="Markdown, up to 20,000 characters.")
    body_en: str = strawberry.field(description="Markdown, up to 20,000 characters.")
    tags: list[str] = strawberry.field(
        description="Keys of up to 10 tags that it is about; none: it is for everybody.", default_factory=list[str]
    )
    minimum_tier: Tier = strawberry.field(description="For customers from this tier on.", default=Tier.MASS)


@strawberry.input(description="Which article, and what it says now.")
class UpdateContentInput:
    content_id: strawberry.ID = strawberry.field(description="Global id of the article.")
    revision: int = strawberry.field(description="The revision that you have read.")
    content: ContentInput = strawberry.field(description="All of it.")


@strawberry.input(description="Which article was read, and what the reviewer thinks of it.")
class ReviewContentInput:
    content_id: strawberry.ID = strawberry.field(description="Global id of the article.")
    revision: int = strawberry.field(description="The revision that you have read.")
    approve: bool = strawberry.field(description="Whether it may be published so; else it is given back.")
    note: str | None = strawberry.field(
        description="Up to 500 characters about the text; needed where it is given back.", default=None
    )


@strawberry.input(description="Which article.")
class PublishContentInput:
    content_id: strawberry.ID = strawberry.field(description="Global id of the article.")
    announce: bool = strawberry.field(
        description="Whether customers with its tags get a marketing message, if they want such.", default=False
    )


@strawberry.input(description="Which article.")
class RetireContentInput:
    content_id: strawberry.ID = strawberry.field(description="Global id of the article.")


@strawberry.type(description="The draft is written.")
class CreateContentSuccess:
    content: ContentArticle = strawberry.field(description="The draft.")


@strawberry.type(description="It is a draft with these words.")
class UpdateContentSuccess:
    content: ContentArticle = strawberry.field(description="The draft.")


@strawberry.type(description="It is reviewed.")
class ReviewContentSuccess:
    content: ContentArticle = strawberry.field(description="The article: REVIEWED, or a DRAFT that was given back.")


@strawberry.type(description="Customers read it from now on.")
class PublishContentSuccess:
    content: ContentArticle = strawberry.field(description="The article.")


@strawberry.type(description="It is in no feed any more.")
class RetireContentSuccess:
    content: ContentArticle = strawberry.field(description="The article.")


CreateContentResult = Annotated[CreateContentSuccess | Refusal, result_union(CreateContentSuccess)]
UpdateContentResult = Annotated[UpdateContentSuccess | Refusal, result_union(UpdateContentSuccess)]
ReviewContentResult = Annotated[ReviewContentSuccess | Refusal, result_union(ReviewContentSuccess)]
PublishContentResult = Annotated[PublishContentSuccess | Refusal, result_union(PublishContentSuccess)]
RetireContentResult = Annotated[RetireContentSuccess | Refusal, result_union(RetireContentSuccess)]


def new_content(input: ContentInput) -> NewContent:
    return NewContent(
        title_zh=input.title_zh,
        title_en=input.title_en,
        body_zh=input.body_zh,
        body_en=input.body_en,
        tags=tuple(input.tags),
        minimum_tier=input.minimum_tier,
    )


@strawberry.type
class ContentQueries:
    @strawberry.field(description="Articles that fit your tags and tier and those for everybody, the latest first.")
    async def content_feed(
        self, info: Info, first: First = None, after: After = None, last: Last = None, before: Before = None
    ) -> Connection[FedContent]:
        size, place = window(first, after, last, before)
        context = info.context
        viewer = await context.viewer_id()
        if viewer is None:
            return connection(Page[Fed]([], [], has_next=False), place, lambda fed: fed_of(fed, info))
        async with context.database.read() as session:
            page = await content_feed(session, viewer, first=size, after=place, now=context.now)
        return connection(page, place, lambda fed: fed_of(fed, info))

    @strawberry.field(description="Articles in all states, the newest first; for staff.")
    async def contents(
        self,
        info: Info,
        status: Annotated[ContentStatus | None, strawberry.argument(description="Only these; null: all.")] = None,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Connection[ContentArticle]:
        size, place = window(first, after, last, before)
        staff(info)
        async with info.context.database.read() as session:
            page = await list_content(session, status, first=size, after=place)
        return connection(page, place, lambda row: content_of(row, info))


def fed_of(fed: Fed, info: Info) -> FedContent:
    return FedContent(content=content_of(fed.article, info), fed=fed)


@strawberry.type
class ContentMutations:
    @strawberry.mutation(description="Draft an article. For relationship managers and administrators.")
    @refusals
    async def create_content(self, info: Info, input: ContentInput) -> CreateContentResult:
        context, actor = info.context, staff(info).subject
        async with context.database.write() as session:
            row = await create_content(session, new_content(input), actor=actor, now=context.now)
        return CreateContentSuccess(content=content_of(row, info))

    @strawberry.mutation(
        description="Say a draft or reviewed article anew, after which it is a draft. For relationship managers and "
        "administrators."
    )
    @refusals
    async def update_content(self, info: Info, input: UpdateContentInput) -> UpdateContentResult:
        context, actor = info.context, staff(info).subject
        content_id = local_id("ContentArticle", input.content_id, "input", "contentId")
        new = new_content(input.content)
        async with context.database.write() as session:
            row = await update_content(session, content_id, new, revision=input.revision, actor=actor, now=context.now)
        return UpdateContentSuccess(content=content_of(row, info))

    @strawberry.mutation(
        description="Approve an article as it was read, or give it back. For administrators who have not written in it."
    )
    @refusals
    async def review_content(self, info: Info, input: ReviewContentInput) -> ReviewContentResult:
        context = info.context
        actor = context.administrator().subject
        content_id = local_id("ContentArticle", input.content_id, "input", "contentId")
        async with context.database.write() as session:
            row = await review_content(
                session,
                content_id,
                revision=input.revision,
                is_approved=input.approve,
                note=input.note,
                actor=actor,
                now=context.now,
            )
        return ReviewContentSuccess(content=content_of(row, info))

    @strawberry.mutation(
        description="Put a reviewed article into feeds, and announce it where asked. For administrators."
    )
    @refusals
    async def publish_content(self, info: Info, input: PublishContentInput) -> PublishContentResult:
        context = info.context
        actor = context.administrator().subject
        content_id = local_id("ContentArticle", input.content_id, "input", "contentId")
        async with context.database.write() as session:
            row = await publish_content(session, content_id, actor=actor, now=context.now)
            if input.announce:
                await announce_content(session, row, now=context.now)
        return PublishContentSuccess(content=content_of(row, info))

    @strawberry.mutation(description="Take an article out of all feeds for good. For administrators.")
    @refusals
    async def retire_content(self, info: Info, input: RetireContentInput) -> RetireContentResult:
        context = info.context
        actor = context.administrator().subject
        content_id = local_id("ContentArticle", input.content_id, "input", "contentId")
        async with context.database.write() as session:
            row = await retire_content(session, content_id, actor=actor, now=context.now)
        return RetireContentSuccess(content=content_of(row, info))
