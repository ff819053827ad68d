"""One world for all who ask in it: to found it takes longer than most of what is asked."""

from collections.abc import AsyncGenerator

import pytest

from tests.access.world import World, founded
from tests.conftest import Addresses


@pytest.fixture(scope="package")
async def world(
    stores: Addresses, redis_url: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncGenerator[World, None]:
    async with founded(stores, redis_url, tmp_path_factory.mktemp("access")) as found:
        yield found
