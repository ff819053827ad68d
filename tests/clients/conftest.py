"""The system as it runs, and the clients that others wrote: Node scripts in this folder, each told what to do."""

import json
import shutil
import subprocess
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest

from api.issuer.personas import SERVICE_CLIENT_ID
from api.tour import tour_documents
from core.processes import REPOSITORY
from tests.ops.started import Started, started

HERE = Path(__file__).parent
INSTALLED = REPOSITORY / ".cache" / "clients"
RUN_SECONDS = 200.0
# A bank with enough customers for the whole tour takes its time where other tests run beside it.
START_SECONDS = 300.0
# Whichever test comes first waits for the packages and for the bank, which is then there for all of them.
PATIENCE_SECONDS = 600
SWEEP_SECONDS = 1

Run = Callable[..., Any]


@pytest.fixture(scope="session")
def clients() -> Generator[Path, None, None]:
    """The scripts beside the packages that they import, which are installed once for each lock file."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("Node and npm are not installed, and the clients that others wrote run on them")
    subprocess.run(["make", "--silent", "clients"], cwd=REPOSITORY, check=True, stdout=subprocess.DEVNULL)
    # Node looks for packages in the folders above a script, and the sources stay free of what is installed.
    folder = INSTALLED / "scripts"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(HERE, folder, ignore=shutil.ignore_patterns("*.py", "__pycache__", "package*.json"))
    (folder / "package.json").write_text('{"type": "module"}\n')
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def bank(clients: Path, tmp_path_factory: pytest.TempPathFactory) -> Generator[Started, None, None]:
    """A demonstration bank as `make run` starts it, with a worker that looks often."""
    variables = {"SWEEP_INTERVAL_SECONDS": str(SWEEP_SECONDS), "OPERATION_TIMEOUT_SECONDS": "30"}
    with started(tmp_path_factory.mktemp("clients") / "data", variables, customers=120) as found:
        found.wait_for_welcome(START_SECONDS)
        yield found


@pytest.fixture(scope="session")
def tokens(bank: Started) -> dict[str, str]:
    """An access token of everybody who appears in the tour."""
    personas = {step["persona"] for step in tour_documents()}
    return {
        persona: bank.service_token() if persona == SERVICE_CLIENT_ID else bank.persona_token(persona)
        for persona in sorted(personas)
    }


@pytest.fixture(scope="session")
def run(clients: Path, bank: Started) -> Run:
    """Run one script against the bank; what it is told besides the address are the arguments."""

    def run_script(name: str, **words: Any) -> Any:
        done = subprocess.run(
            ["node", f"{name}.mjs"],
            cwd=clients,
            input=json.dumps({"url": f"{bank.base}/graphql", **words}),
            capture_output=True,
            text=True,
            timeout=RUN_SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-4000:]
        return json.loads(done.stdout)

    return run_script
