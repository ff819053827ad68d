"""What a merge of tags comes to in all rooms: customers page by page, then communities, events, rewards, articles."""

from datetime import datetime
from typing import Any

from community.tag_merges import replace_tag
from core.db import Session
from customers.tag_merges import move_page
from graph.client import GraphClient
from loyalty.catalogue_changes import replace_tag_of_rewards
from segments.tagging import Tag
from service.content import replace_tag_of_content


async def carry_out_merge(session: Session, graph: GraphClient, payload: dict[str, Any], *, now: datetime) -> None:
    """Settle one page; what names the tag changes last, when the customers have what it will name."""
    if not await move_page(session, graph, payload, now=now):
        return
    tag = await session.get_one(Tag, payload["from"])
    if tag.merged_into is not None:
        await replace_tag_of_rewards(session, tag.key, tag.merged_into)
        await replace_tag_of_content(session, tag.key, tag.merged_into)
        await replace_tag(graph, tag.key, tag.merged_into, now=now)
