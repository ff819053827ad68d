"""`make run`: the whole system under one supervisor, on embedded parts where the settings name none."""

import argparse
import asyncio
import fcntl
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import httpx
from rich.console import Console
from rich.table import Table

from api.issuer.personas import PERSONAS, SERVICE_CLIENT_ID, SERVICE_CLIENT_SECRET
from core.clock import utc_now
from core.db import Database
from core.processes import free_port, start_leashed, stop
from core.redis_server import redis_url, start_redis, wait_for_redis
from core.settings import Settings, SettingsError, load_settings
from graph.client import GraphClient
from graph.engine import DATABASE, USER, graph_password, start_graph
from graph.ready import wait_for_bolt
from migrations.graph_migrations import upgrade_graph
from migrations.sql_migrations import upgrade_sql
from ops.checks import check_database, check_graph, check_issuer, check_redis
from ops.demonstration.load import is_loaded, load_demonstration

START_SECONDS = 60.0
# A service that dies again within this time is given longer and longer pauses before its next start.
STEADY_SECONDS = 30.0
LONGEST_PAUSE_SECONDS = 30.0


@dataclass(slots=True)
class Service:
    """One process under supervision."""

    name: str
    command: list[str]
    process: subprocess.Popen[bytes]
    started: float
    pause: float = 1.0


@dataclass(slots=True)
class Supervisor:
    """Starts the stores, migrates, fills an empty system, then keeps the API and a worker running."""

    settings: Settings
    console: Console
    customers: int
    logs: Path
    stores: list[subprocess.Popen[bytes]] = field(default_factory=list[subprocess.Popen[bytes]])
    services: list[Service] = field(default_factory=list[Service])
    environment: dict[str, str] = field(default_factory=dict[str, str])
    stopping: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        """Run until Ctrl-C, SIGTERM, or a store that ends."""
        began = time.monotonic()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.stopping.set)
        try:
            await self.start_stores()
            settings = self.with_environment()
            await check_settings(settings)
            await self.prepare(settings)
            self.start_service("api", api_command(settings))
            self.start_service("worker", [sys.executable, "-m", "arq", "worker.settings.WorkerSettings"])
            await self.wait_until_ready(settings)
            welcome(self.console, settings, time.monotonic() - began, self.logs)
            await self.watch()
        finally:
            self.stop_all()

    async def start_stores(self) -> None:
        """Start the embedded parts that no setting replaces, at the same time."""
        data = self.settings.data_dir
        self.environment["DATA_DIR"] = str(data.resolve())
        waits = []
        if self.settings.neo4j_uri is None:
            port, folder = free_port(), data / "graph"
            self.stores.append(start_graph(folder, bolt_port=port, http_port=free_port(), log=self.logs / "graph.log"))
            uri, password = f"bolt://127.0.0.1:{port}", graph_password(folder)
            self.environment |= {"NEO4J_URI": uri, "NEO4J_USER": USER, "NEO4J_PASSWORD": password}
            self.environment["NEO4J_DATABASE"] = DATABASE
            waits.append(wait_for_bolt(uri, USER, password, timeout=START_SECONDS))
        if self.settings.redis_url is None:
            port = free_port()
            self.stores.append(start_redis(data / "redis", port=port, log=self.logs / "redis.log"))
            self.environment["REDIS_URL"] = url = redis_url(data / "redis", port)
            waits.append(asyncio.to_thread(wait_for_redis, url))
        if self.settings.database_url is None:
            self.environment["DATABASE_URL"] = f"sqlite+aiosqlite:///{(data / 'kinship.sqlite').resolve()}"
        try:
            await asyncio.gather(*waits)
        except TimeoutError as error:
            raise SettingsError(f"an embedded store did not start: see {self.logs}") from error

    def with_environment(self) -> Settings:
        """The settings that the API and the worker will read, with a port that is free."""
        self.environment["PORT"] = str(choose_port(self.settings))
        os.environ.update(self.environment)
        return load_settings()

    async def prepare(self, settings: Settings) -> None:
        """Migrate both stores, and load the demonstration bank into an empty system."""
        database = Database(settings.database_url or "")
        try:
            async with GraphClient.of(settings) as graph:
                await upgrade_sql(database)
                await upgrade_graph(graph)
                if settings.environment == "development" and self.customers and not await is_loaded(database):
                    await load_demonstration(
                        settings, database, graph, customers=self.customers, now=utc_now(), console=self.console
                    )
        finally:
            await database.close()

    def start_service(self, name: str, command: list[str]) -> None:
        process = start_leashed(command, log=self.logs / f"{name}.log")
        self.services.append(Service(name, command, process, time.monotonic()))

    async def wait_until_ready(self, settings: Settings) -> None:
        """Wait for the first answered readiness check."""
        deadline = time.monotonic() + START_SECONDS
        async with httpx.AsyncClient(timeout=2) as client:
            while time.monotonic() < deadline and not self.stopping.is_set():
                if self.services[0].process.poll() is not None:
                    raise SettingsError(f"the API ended at its start: see {self.logs / 'api.log'}")
                try:
                    if (await client.get(f"http://{settings.host}:{settings.port}/readyz")).status_code == 200:
                        return
                except httpx.TransportError:
                    pass
                await asyncio.sleep(0.1)
        if not self.stopping.is_set():
            raise SettingsError(f"the API did not get ready: see {self.logs / 'api.log'}")

    async def watch(self) -> None:
        """Restart the API and the worker when they end; end when a store does."""
        while not self.stopping.is_set():
            for store in self.stores:
                if store.poll() is not None:
                    raise SettingsError(f"an embedded store ended: see {self.logs}")
            for service in self.services:
                if service.process.poll() is not None:
                    await self.restart(service)
            try:
                await asyncio.wait_for(self.stopping.wait(), timeout=0.5)
            except TimeoutError:
                continue

    async def restart(self, service: Service) -> None:
        """Start it again; after a short life only after a pause that doubles each time."""
        if time.monotonic() - service.started < STEADY_SECONDS:
            await asyncio.sleep(service.pause)
            service.pause = min(service.pause * 2, LONGEST_PAUSE_SECONDS)
        else:
            service.pause = 1.0
        code = service.process.returncode
        self.console.print(f"[yellow]{service.name} ended with {code}; it is started again[/yellow]")
        service.process = start_leashed(service.command, log=self.logs / f"{service.name}.log")
        service.started = time.monotonic()

    def stop_all(self) -> None:
        """Stop in the order in which nothing loses what it stands on: services first, stores last."""
        for service in self.services:
            service.process.terminate()
        for service in self.services:
            stop(service.process)
        for store in reversed(self.stores):
            stop(store)


def api_command(settings: Settings) -> list[str]:
    """The API server; it stops taking requests at once and gives those under way five seconds."""
    return [
        *(sys.executable, "-m", "uvicorn", "--factory", "api.app:create_app"),
        *("--host", settings.host, "--port", str(settings.port)),
        *("--no-access-log", "--log-level", "warning", "--timeout-graceful-shutdown", "5"),
        # A message of a WebSocket is refused before it is read whole; the API itself is as strict as it is with bodies.
        *("--ws-max-size", str(settings.max_body_bytes)),
    ]


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


async def check_settings(settings: Settings) -> None:
    """Ask every store once, so that a wrong value is one clear line now and no riddle later."""
    await check_graph(settings)
    await check_database(settings)
    await check_redis(settings)
    await check_issuer(settings)


def take_data_folder(folder: Path) -> IO[str]:
    """Hold the data folder until we end; raises SettingsError when another supervisor has it."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = (folder / "lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise SettingsError(f"DATA_DIR: {folder} is in use by another supervisor") from error
    return lock


def welcome(console: Console, settings: Settings, seconds: float, logs: Path) -> None:
    """Say where to click and how to sign in."""
    base = f"http://{settings.host}:{settings.port}"
    console.print(f"\n[bold]Kinship is ready[/bold] after {seconds:.1f} s\n")
    console.print(f"  Sign in       {base}/sign-in")
    console.print(f"  GraphiQL      {base}/graphiql")
    console.print(f"  GraphQL       {base}/graphql")
    console.print(f"  Health        {base}/readyz")
    console.print(f"  Logs          {logs}\n")
    if settings.embedded_issuer:
        table = Table("Persona", "Who it is", "Roles", title="Sign in as", title_justify="left", box=None)
        for persona in PERSONAS:
            roles = ", ".join(sorted(persona.roles))
            table.add_row(f"{persona.name_en} {persona.name_zh}", persona.description_en, roles)
        table.add_row(
            SERVICE_CLIENT_ID, f"The bank's system: client credentials, secret {SERVICE_CLIENT_SECRET}", "service"
        )
        console.print(table)
    console.print("\nCtrl-C stops everything.\n")


def main() -> None:
    parser = argparse.ArgumentParser(description="Run the whole system.")
    parser.add_argument("--customers", type=int, default=2000, help="size of the demonstration bank; 0 for none")
    customers: int = parser.parse_args().customers
    console = Console(stderr=True)
    try:
        settings = load_settings()
        lock = take_data_folder(settings.data_dir)
        with lock:
            asyncio.run(Supervisor(settings, console, customers, settings.data_dir / "logs").run())
    except SettingsError as error:
        console.print(f"[red]{error}[/red]", soft_wrap=True)
        sys.exit(2)


if __name__ == "__main__":
    main()
