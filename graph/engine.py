"""The embedded graph engine: ArcadeDB, spoken to over Bolt like any Neo4j."""

import secrets
import subprocess
from importlib.util import find_spec
from pathlib import Path

from core.processes import start_leashed, write_private

DATABASE = "platform"
USER = "root"


def start_graph(
    folder: Path, *, bolt_port: int, http_port: int, log: Path, heap: str = "512m"
) -> subprocess.Popen[bytes]:
    """Start the engine over the data in `folder`, on loopback only; it needs 2-6 s to answer.

    The port opens before the database exists: wait with `graph.ready.wait_for_bolt`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    package = engine_package()
    arguments = folder / "java.args"
    # An argument file keeps the password off the command line, which every local user can read.
    write_private(arguments, "\n".join(java_arguments(folder, package, bolt_port, http_port, heap)))
    return start_leashed([str(package / "jre" / "bin" / "java"), f"@{arguments.resolve()}"], log=log, cwd=folder)


def engine_package() -> Path:
    """Where the wheel with the engine and its Java runtime is installed."""
    spec = find_spec("arcadedb_embedded")
    if spec is None or spec.origin is None:
        raise RuntimeError("arcadedb-embedded is not installed: run make run, or set NEO4J_URI")
    return Path(spec.origin).parent


def java_arguments(folder: Path, package: Path, bolt_port: int, http_port: int, heap: str) -> list[str]:
    """The engine's command line, with every listener bound to loopback."""
    properties = {
        "arcadedb.server.plugins": "Bolt:com.arcadedb.bolt.BoltProtocolPlugin",
        "arcadedb.bolt.host": "127.0.0.1",
        "arcadedb.bolt.port": str(bolt_port),
        "arcadedb.server.httpIncomingHost": "127.0.0.1",
        "arcadedb.server.httpIncomingPort": str(http_port),
        "arcadedb.server.rootPath": str(folder.resolve()),
        "arcadedb.server.databaseDirectory": str((folder / "databases").resolve()),
        "arcadedb.server.defaultDatabases": f"{DATABASE}[{USER}]",
        "arcadedb.server.rootPassword": graph_password(folder),
    }
    return [
        "--add-opens=java.base/java.nio=ALL-UNNAMED",
        "--add-modules=jdk.incubator.vector",
        "--enable-native-access=ALL-UNNAMED",
        # Java would keep its counters in a file under /tmp; nothing of ours lies outside the data folder.
        "-XX:-UsePerfData",
        f"-Xmx{heap}",
        *(f'"-D{name}={value}"' for name, value in properties.items()),
        "-cp",
        f'"{package}/jars/*"',
        "com.arcadedb.server.ArcadeDBServer",
    ]


def graph_password(folder: Path) -> str:
    """The random password of this data folder, made at its first start and kept beside the data."""
    path = folder / "password"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        write_private(path, secrets.token_urlsafe(24))
    return path.read_text()
