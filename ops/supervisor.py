"""`make run`: the whole system under one supervisor, on embedded parts where the settings name none.

What only a later step needs is imported by that step: the stores and the API load meanwhile.
"""

import argparse
import asyncio
import fcntl
import ipaddress
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from core.processes import free_port, start_leashed, stop
from core.settings import Settings, SettingsError, load_settings
from ops.embedded import START_SECONDS, EmbeddedStores

# A service that ends again within this time is given longer and longer pauses before its next start.
STEADY_SECONDS = 30.0
LONGEST_PAUSE_SECONDS = 30.0


class Service:
    """One of our own processes, a module under `python -m`; when it ends it is started again after a pause.

    The pause grows as long as it keeps on ending soon.
    """

    def __init__(self, name: str, module: str, log: Path) -> None:
        self.name = name
        self.log = log
        self._pause = 0.5
        self._command = [sys.executable, "-m", module]
        self._due: float | None = None
        self.start()

    def start(self) -> None:
        self.process = start_leashed(self._command, log=self.log, stdin=subprocess.PIPE)
        self._started = time.monotonic()

    def let_go(self) -> None:
        """Tell it that what it stands on is ready; the API loads before that, and waits."""
        gate = self.process.stdin
        # One that has died in the meantime is found dead by whoever waits for it.
        with suppress(BrokenPipeError):
            if gate is not None:
                gate.write(b"go\n")
                gate.close()

    def revive(self) -> str | None:
        """Start it again if it has ended and its pause is over; returns what to say about it."""
        if self.process.poll() is None:
            return None
        now = time.monotonic()
        if self._due is None:
            if now - self._started > STEADY_SECONDS:
                self._pause = 0.5
            self._due = now + self._pause
            self._pause = min(self._pause * 2, LONGEST_PAUSE_SECONDS)
        if now < self._due:
            return None
        code, self._due = self.process.returncode, None
        self.start()
        self.let_go()
        return f"{self.name} ended with {code} and is started again: see {self.log}"


@dataclass(slots=True)
class Supervisor:
    """Starts the stores, migrates, fills an empty system, then keeps the API and a worker running."""

    settings: Settings
    customers: int
    began: float = field(default_factory=time.monotonic)
    services: list[Service] = field(default_factory=list[Service])
    stores: EmbeddedStores = field(init=False)

    def __post_init__(self) -> None:
        self.stores = EmbeddedStores(self.settings.data_dir, self.logs)

    @property
    def logs(self) -> Path:
        return self.settings.data_dir / "logs"

    async def run(self) -> None:
        """Run until Ctrl-C or SIGTERM; raises SettingsError when something cannot start or a store ends."""
        work = asyncio.ensure_future(self.serve())
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, work.cancel)
        try:
            with suppress(asyncio.CancelledError):
                await work
        finally:
            self.stop()

    async def serve(self) -> None:
        await self.refuse_wrong_settings()
        self.stores.start(self.settings)
        os.environ.update(self.stores.environment)
        api = self.start_service("api", "ops.api_server")
        from ops.preparation import prepare

        await self.stores.wait_until_ready()
        settings = load_settings()
        await prepare(settings, customers=self.customers)
        api.let_go()
        await self.wait_until_ready(settings, api)
        seconds = time.monotonic() - self.began
        # Only now, because the first query needs no worker, and two that load at once are both late.
        self.start_service("worker", "worker")
        from ops.welcome import welcome

        welcome(settings, seconds, self.logs)
        await self.watch()

    async def refuse_wrong_settings(self) -> None:
        """Raise SettingsError for what cannot work, before anything is started; settle the port."""
        refuse_strangers(self.settings)
        os.environ["DATA_DIR"] = str(self.settings.data_dir.resolve())
        os.environ["PORT"] = str(choose_port(self.settings))
        given = (
            self.settings.neo4j_uri,
            self.settings.database_url,
            self.settings.redis_url,
            self.settings.oidc_issuer,
        )
        if any(value is not None for value in given):
            from ops.checks import check_given

            await check_given(self.settings)

    def start_service(self, name: str, module: str) -> Service:
        self.services.append(service := Service(name, module, self.logs / f"{name}.log"))
        return service

    async def wait_until_ready(self, settings: Settings, api: Service) -> None:
        """Wait for the first answered readiness check."""
        import httpx

        deadline = time.monotonic() + START_SECONDS
        async with httpx.AsyncClient(timeout=2) as client:
            while time.monotonic() < deadline:
                if api.process.poll() is not None:
                    raise SettingsError(f"the API ended at its start: see {api.log}")
                with suppress(httpx.TransportError):
                    if (await client.get(f"http://{settings.host}:{settings.port}/readyz")).status_code == 200:
                        return
                await asyncio.sleep(0.05)
        raise SettingsError(f"the API did not get ready: see {api.log}")

    async def watch(self) -> None:
        """Start the API and the worker again when they end; end when a store does."""
        while True:
            self.stores.refuse_ended()
            for service in self.services:
                if said := service.revive():
                    print(said, flush=True)
            await asyncio.sleep(0.5)

    def stop(self) -> None:
        """Stop in the order in which nothing loses what it stands on: services first, stores last."""
        for service in self.services:
            service.process.terminate()
        for service in self.services:
            stop(service.process)
        self.stores.stop()


def refuse_strangers(settings: Settings) -> None:
    """Raise SettingsError unless HOST is loopback: the embedded parts know no one but this machine's own people."""
    try:
        loopback = settings.host == "localhost" or ipaddress.IPv4Address(settings.host).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise SettingsError(f"HOST: make run listens on loopback only (127.0.0.1), and {settings.host} is not")


def choose_port(settings: Settings) -> int:
    """The port asked for; where nobody asked and the usual one is taken, any free one."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as error:
            if "port" in settings.model_fields_set:
                raise SettingsError(f"PORT: {settings.port} cannot be used: {error.strerror}") from error
            return free_port()
    return settings.port


def take_data_folder(folder: Path) -> IO[str]:
    """Hold the data folder, which nobody else may read, until we end; raises SettingsError when that fails."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = (folder / "lock").open("w")
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise SettingsError(f"DATA_DIR: {folder} is in use by another supervisor") from error
    except OSError as error:
        raise SettingsError(f"DATA_DIR: {folder} cannot be used: {error.strerror}") from error
    return lock


def main() -> None:
    parser = argparse.ArgumentParser(description="Run the whole system.")
    parser.add_argument("--customers", type=int, default=2000, help="size of the demonstration bank; 0 for none")
    customers: int = parser.parse_args().customers
    try:
        settings = load_settings()
        with take_data_folder(settings.data_dir):
            asyncio.run(Supervisor(settings, customers).run())
    except SettingsError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        # Before the loop's own handler stands, or after it: nothing runs then.
        sys.exit(130)


if __name__ == "__main__":
    main()
