"""The world of the access matrix, with a secret in all that is Lin's and Chen's that only they and theirs may read."""

import asyncio
import gc
import warnings
from collections.abc import Coroutine, Generator
from dataclasses import dataclass
from typing import Any, TypeVar

import pytest

from tests.access.world import World, founded
from tests.api.conftest import Caller, system
from tests.community.writings import write_comment, write_post
from tests.conftest import Addresses

__all__ = ["system"]

T = TypeVar("T")


@dataclass
class Prey:
    """The world, what is secret in it, and who must never read that."""

    world: World
    secret: str
    ids: list[str]
    runner: asyncio.Runner

    def _repr_pretty_(self, printer: Any, _: bool) -> None:
        """How hypothesis shows what a test that fails was given: shortly, as of the world's 33 kB it would warn, and
        with that warning for an error nobody saw what failed."""
        printer.text(f"Prey({self.secret})")

    def run(self, asking: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(asking)

    def caller(self, role: str) -> Caller:
        return self.world.callers[role]

    def hidden_from(self, role: str) -> str | None:
        return self.secret if role in STRANGERS else None


# Of a document whose fields fail the others are cancelled, some while they open a connection to the graph, and then
# Neo4j's driver leaves the socket to the garbage collector, which is no mistake of what is tested.
SOCKETS_LEFT = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")

STRANGERS = {"nobody", "no profile", "customer, another's", "manager of another", "another's RM", "service client"}
SECRETS = {
    "fileComplaint": "topic: FEES, text: $text",
    "askAdvisor": "text: $text",
}


@pytest.fixture(scope="module")
def prey(stores: Addresses, redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Generator[Prey, None, None]:
    """The world with its secrets, in an event loop of its own: what hypothesis raises while it draws would end one
    that runs whole tests."""
    with asyncio.Runner() as runner:
        founding = founded(stores, redis_url, tmp_path_factory.mktemp("hostile"))
        world = runner.run(founding.__aenter__())
        try:
            secret = f"SECRET{world.unique.replace('-', '')}"
            runner.run(hide(world, secret))
            yield Prey(world, secret, [*world.ids.values()], runner)
        finally:
            runner.run(founding.__aexit__(None, None, None))
            # Collected later, they would be laid to the charge of another test.
            with warnings.catch_warnings(action="ignore", category=ResourceWarning):
                gc.collect()


async def hide(world: World, secret: str) -> None:
    lin, graph = world.local("lin"), world.system.edge.graph
    for act, given in SECRETS.items():
        document = (
            f"mutation($text: String!) {{ {act}(input: {{{given}}}) {{ __typename ... on Refusal {{ code }} }} }}"
        )
        done = await world.callers["customer, own"].ask(document, text=secret)
        assert done[act]["__typename"] != "Refusal", done
    post = await write_post(graph, world.words["community"], lin, text=secret)
    await write_comment(graph, post, lin, text=secret)
