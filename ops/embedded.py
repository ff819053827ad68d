"""The embedded stores of `make run`: one process each for what the settings leave unset.

Nothing heavy is imported at the top: the graph needs seconds to start, and the supervisor loads the rest meanwhile.
"""

import asyncio
import subprocess
from collections.abc import Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.processes import free_port, stop
from core.redis_server import redis_answers, redis_url, start_redis
from core.settings import Settings, SettingsError
from graph.engine import DATABASE, USER, graph_password, start_graph

START_SECONDS = 60.0


@dataclass(slots=True)
class EmbeddedStores:
    """The processes by name, and the environment that leads the API and the worker to them."""

    data: Path
    logs: Path
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict[str, subprocess.Popen[bytes]])
    environment: dict[str, str] = field(default_factory=dict[str, str])

    def start(self, settings: Settings) -> None:
        """Start the parts that no setting replaces, at the same time."""
        if settings.neo4j_uri is None:
            self.start_graph()
        if settings.redis_url is None:
            self.start_redis()
        if settings.database_url is None:
            self.environment["DATABASE_URL"] = f"sqlite+aiosqlite:///{(self.data / 'kinship.sqlite').resolve()}"

    def start_graph(self) -> None:
        port, folder = free_port(), self.data / "graph"
        self.processes["graph"] = start_graph(
            folder, bolt_port=port, http_port=free_port(), log=self.logs / "graph.log"
        )
        self.environment |= {
            "NEO4J_URI": f"bolt://127.0.0.1:{port}",
            "NEO4J_USER": USER,
            "NEO4J_PASSWORD": graph_password(folder),
            "NEO4J_DATABASE": DATABASE,
        }

    def start_redis(self) -> None:
        port, folder = free_port(), self.data / "redis"
        self.processes["redis"] = start_redis(folder, port=port, log=self.logs / "redis.log")
        self.environment["REDIS_URL"] = redis_url(folder, port)

    async def wait_until_ready(self) -> None:
        """Return once all answer; raises SettingsError as soon as one of them has ended or time is up."""
        if "redis" in self.processes:
            await self.wait_for("redis", redis_answers(self.environment["REDIS_URL"]))
        if "graph" in self.processes:
            from graph.ready import wait_for_bolt

            password = self.environment["NEO4J_PASSWORD"]
            await self.wait_for(
                "graph", wait_for_bolt(self.environment["NEO4J_URI"], USER, password, timeout=START_SECONDS)
            )

    async def wait_for(self, name: str, answer: Coroutine[Any, Any, None]) -> None:
        """Wait for the answer, and no longer than the process lives."""
        waiting = asyncio.ensure_future(answer)
        try:
            while not waiting.done():
                self.refuse_ended()
                await asyncio.wait({waiting}, timeout=0.2)
            await waiting
        except (TimeoutError, ValueError) as error:
            raise SettingsError(f"the embedded {name} did not start: see {self.logs / name}.log") from error
        finally:
            waiting.cancel()

    def refuse_ended(self) -> None:
        """Raise SettingsError when one of them has ended: nothing works without it."""
        for name, process in self.processes.items():
            if process.poll() is not None:
                raise SettingsError(f"the embedded {name} ended with {process.returncode}: see {self.logs / name}.log")

    def stop(self) -> None:
        for process in self.processes.values():
            stop(process)
