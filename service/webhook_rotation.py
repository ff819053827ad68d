"""Rotation of the keys that seal the secrets of gateways: `python -m service.webhook_rotation`."""

import asyncio
import sys

from rich.console import Console

from core.db import Database
from core.errors import KinshipError
from core.settings import SettingsError, load_settings
from service.webhook_endpoints import rewrap_secrets


async def main(console: Console) -> None:
    settings = load_settings()
    if settings.database_url is None:
        raise SettingsError("DATABASE_URL: it names the database whose secrets are wrapped anew")
    database = Database(settings.database_url, keys=settings.key_ring)
    try:
        async with database.write() as session:
            done = await rewrap_secrets(session)
    finally:
        await database.close()
    console.print(f"The secrets of {done} gateways are wrapped anew")


if __name__ == "__main__":
    told = Console(stderr=True)
    try:
        asyncio.run(main(told))
    except (SettingsError, KinshipError) as error:
        told.print(f"[red]{error}[/red]")
        sys.exit(2)
