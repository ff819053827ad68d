"""Articles of the demonstration bank, and one that the referrer is told of though she allows no marketing."""

from datetime import datetime, timedelta

from core.db import Database, Session
from core.ids import derived_id
from core.messages import MESSAGE_OWED, MessageCategory, message
from core.outbox import owe
from customers.profiles import customer_id_of
from ops.demonstration.personas import NUMBER_OF, REFERRER
from ops.demonstration.rows import customer_key
from segments.tagging import Tag
from service.content import ContentArticle, NewContent, create_content, publish_content, review_content
from service.content_feeds import weights_of
from service.message_words import CONTENT_PUBLISHED

SOURCE = "demonstration"
AUTHOR, REVIEWER = "zhou-min", "he-jing"
FOR_EVERYBODY = NewContent(
    "假日用卡小贴士",
    "Your card on holiday",
    "# 出行之前\n\n- 记下客服电话\n- 设置每日限额\n- 不在陌生设备上登录",
    "# Before you leave\n\n- Note our number\n- Set a daily limit\n- Sign in on no device but your own",
)


async def load_content(database: Database, *, now: datetime) -> None:
    """Publish the articles and owe the message; done again, it changes nothing."""
    async with database.write() as session:
        customer_id = await customer_id_of(session, SOURCE, customer_key(NUMBER_OF[REFERRER]))
        await publish(session, "holiday", FOR_EVERYBODY, now=now - timedelta(days=9))
        if customer_id is None:
            return
        for nth, key in enumerate(list(await weights_of(session, customer_id, now=now))[:2]):
            article = await publish(session, f"tag-{nth}", about(await session.get_one(Tag, key)), now=now)
            if nth == 0:
                await tell(session, customer_id, article, now=now)


def about(tag: Tag) -> NewContent:
    return NewContent(
        f"写给“{tag.name_zh}”客户的理财建议",
        f"Thoughts on money: {tag.name_en}",
        f"# {tag.name_zh}\n\n先留足六个月的生活费，再谈投资。",
        f"# {tag.name_en}\n\nSix months of what you spend come first, and investing after that.",
        (tag.key,),
    )


async def publish(session: Session, name: str, new: NewContent, *, now: datetime) -> ContentArticle:
    id = derived_id(SOURCE, "content", name)
    found = await session.get(ContentArticle, id)
    if found is not None:
        return found
    row = await create_content(session, new, actor=AUTHOR, now=now, content_id=id)
    await review_content(session, id, revision=row.revision, is_approved=True, note=None, actor=REVIEWER, now=now)
    return await publish_content(session, id, actor=REVIEWER, now=now)


async def tell(session: Session, customer_id: str, article: ContentArticle, *, now: datetime) -> None:
    """Owe her the message that an announcement would; of a large bank it would be thousands."""
    titles = {"title_zh": article.title_zh, "title_en": article.title_en}
    payload = message(
        MessageCategory.MARKETING,
        customer_id=customer_id,
        template=CONTENT_PUBLISHED,
        subject=article.id,
        values=titles,
    )
    await owe(session, topic=MESSAGE_OWED, key=f"content:{article.id}:{customer_id}", payload=payload, now=now)
