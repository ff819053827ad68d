"""Data loaders of messages and articles: the rows of a page need few questions for all of them."""

from api.loading import DataLoader, LoaderSet, made_once
from core.db import Database
from segments.tagging import Tag
from service.content import tag_words_of
from service.message_deliveries import MessageDelivery, deliveries_of
from service.messages import Message, messages_by_id


class MessageLoaders(LoaderSet):
    """The loaders of one operation, each made at its first use."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @made_once
    def messages(self) -> DataLoader[str, Message | None]:
        async def load(ids: list[str]) -> list[Message | None]:
            async with self._database.read() as session:
                found = await messages_by_id(session, ids)
            return [found.get(one) for one in ids]

        return DataLoader(load_fn=load)

    @made_once
    def deliveries(self) -> DataLoader[str, list[MessageDelivery]]:
        """The deliveries of messages, by the ids of these."""

        async def load(ids: list[str]) -> list[list[MessageDelivery]]:
            async with self._database.read() as session:
                found = await deliveries_of(session, ids)
            return [found[one] for one in ids]

        return DataLoader(load_fn=load)

    @made_once
    def content_tags(self) -> DataLoader[str, list[Tag]]:
        """What articles are about, by the ids of these."""

        async def load(ids: list[str]) -> list[list[Tag]]:
            async with self._database.read() as session:
                found = await tag_words_of(session, ids)
            return [found[one] for one in ids]

        return DataLoader(load_fn=load)
