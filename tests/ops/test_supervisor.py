"""`make run`: one supervisor starts everything, keeps it running, loses nothing, and leaves nothing behind."""

import os
import signal
import time
from collections.abc import Generator
from pathlib import Path
from threading import Thread

import httpx
import pytest

from api.issuer.personas import PERSONAS
from core.clock import iso, utc_now
from core.processes import free_port
from tests.conftest import Addresses
from tests.ops.started import Started, started
from tests.processes import gone_within, listeners

IMPORT = """
mutation($rows: String!) {
  importBatch(input: {source: "core-banking", content: $rows}) {
    ... on ImportBatchSuccess { report { accepted rejected } }
    ... on Refusal { code message }
  }
}
"""
ROWS = """\
{"kind": "customer", "key": "c-1", "display_name": "Wu Xin", "subject": "wu-xin"}
{"kind": "community", "key": "k-1", "name_zh": "读书会", "name_en": "Readers"}
{"kind": "membership", "customer": "c-1", "community": "k-1", "since": "2026-01-05T10:00:00+08:00"}
"""
FACTS = """
mutation($facts: [FactInput!]!) {
  recordFacts(input: {source: "core-banking", facts: $facts}) {
    ... on RecordFactsSuccess { recorded duplicates }
    ... on Refusal { code message }
  }
}
"""
ME = "{ viewer { subject customer { displayName } communities { edges { node { name } } } } }"


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Generator[Started, None, None]:
    """A first start: an empty data folder, and a small demonstration bank."""
    with started(tmp_path_factory.mktemp("run") / "data", customers=20) as found:
        seconds = found.wait_for_welcome()
        print(f"first start, with 20 customers: {seconds:.1f} s")
        yield found


def fact(key: str) -> dict[str, str]:
    return {"key": key, "kind": "IDENTITY_VERIFIED", "customerKey": "c-1", "occurredAt": iso(utc_now())}


def wait_until_it_answers(system: Started) -> None:
    deadline = time.monotonic() + 60
    while not system.answers():
        assert time.monotonic() < deadline, "the API did not come back"
        time.sleep(0.05)


class TestAFirstStart:
    """Given an empty data folder, when the system is started,"""

    def test_it_says_where_to_click_and_whom_to_be(self, system: Started) -> None:
        """then each address that it prints answers, and each persona has a line."""
        said = system.said.read_text()
        for path in ("/sign-in", "/graphiql", "/readyz"):
            assert f"{system.base}{path}" in said
            assert httpx.get(f"{system.base}{path}").status_code == 200
        assert [persona.name_en for persona in PERSONAS if persona.name_en not in said] == []
        assert "Demonstration bank: 20 customers" in said
        assert system.complained.read_text() == ""

    def test_a_person_and_the_banks_system_can_sign_in_and_ask(self, system: Started) -> None:
        """then a persona finds her communities, and the bank's system may record a fact."""
        viewer = system.ask(system.persona_token("lin-yue"), ME)["viewer"]
        assert viewer["customer"] == {"displayName": "林悦"}
        assert viewer["communities"]["edges"]
        assert system.ask(system.service_token(), "{ viewer { subject } }")["viewer"]["subject"] == "core-banking"

    def test_everything_listens_on_loopback(self, system: Started) -> None:
        """then no process of it listens on any other address; the API has a port, Redis one, and the graph two."""
        found = listeners(system.children())
        assert {address for address, _ in found} == {"127.0.0.1"}
        assert len(found) == 4, found

    def test_no_secret_stands_on_a_command_line(self, system: Started) -> None:
        """then no password of the data folder can be read in the list of processes, nor by another user."""
        secrets = [path.read_text() for path in system.data.glob("*/password")]
        assert len(secrets) == 2
        commands = "\n".join(system.children().values())
        assert [secret for secret in secrets if secret in commands] == []
        assert system.data.stat().st_mode & 0o077 == 0

    def test_a_second_supervisor_is_refused(self, system: Started) -> None:
        """then another one on its data folder ends with one line."""
        with started(system.data) as second:
            assert second.process.wait(60) == 2
            assert second.complained.read_text() == f"DATA_DIR: {system.data} is in use by another supervisor\n"
        assert system.answers()

    @pytest.mark.parametrize("part", ["worker", "ops.api_server"])
    def test_a_killed_part_is_started_again(self, system: Started, part: str) -> None:
        """then a worker or an API that is killed has a successor within seconds, and the supervisor says so."""
        killed = system.child(part)
        name = part.removeprefix("ops.").removesuffix("_server")
        os.kill(killed, signal.SIGKILL)
        assert gone_within([killed], 5)
        assert system.child(part) != killed
        wait_until_it_answers(system)
        assert f"{name} ended with -9 and is started again" in system.said.read_text()


class Acknowledged(Thread):
    """Records one fact after the other until the API is gone; keeps those that were acknowledged."""

    def __init__(self, system: Started) -> None:
        super().__init__(daemon=True)
        self.system = system
        self.token = system.service_token()
        self.facts: list[dict[str, str]] = []

    def run(self) -> None:
        try:
            while True:
                one = fact(f"fact-{len(self.facts)}")
                assert self.system.ask(self.token, FACTS, facts=[one])["recordFacts"]["recorded"] == 1
                self.facts.append(one)
        except httpx.TransportError:
            return


def test_killed_while_it_is_written_to_it_leaves_no_process_and_loses_nothing(tmp_path: Path) -> None:
    """Given a system that is written to, when its supervisor gets SIGKILL and another starts at once, all is there."""
    port = free_port()
    with started(tmp_path / "data", port=port) as first:
        first.wait_for_welcome()
        report = first.ask(first.service_token(), IMPORT, rows=ROWS)["importBatch"]["report"]
        assert report == {"accepted": 3, "rejected": 0}
        person = first.persona_token("wu-xin")
        before = first.ask(person, ME)
        writer = Acknowledged(first)
        writer.start()
        while len(writer.facts) < 5:
            time.sleep(0.01)
        assert first.end(signal.SIGKILL) == -signal.SIGKILL
        writer.join(20)

    with started(tmp_path / "data", port=port) as second:
        seconds = second.wait_for_welcome()
        print(f"second start, from the command to the first answered query: {seconds:.1f} s")
        assert seconds < 60
        # The token of the first run still counts, because the issuer's key is kept.
        assert second.ask(person, ME) == before
        assert before["viewer"]["customer"] == {"displayName": "Wu Xin"}
        assert [edge["node"]["name"] for edge in before["viewer"]["communities"]["edges"]] in (["Readers"], ["读书会"])
        again = second.ask(second.service_token(), FACTS, facts=writer.facts[-500:])["recordFacts"]
        assert again == {"recorded": 0, "duplicates": len(writer.facts[-500:])}
        assert second.end(signal.SIGINT) == 0
        assert second.complained.read_text() == ""


def test_stopped_while_it_starts_it_leaves_no_process(tmp_path: Path) -> None:
    """Given a graph that is still starting, when Ctrl-C comes, then it ends as from any other stop."""
    with started(tmp_path / "data") as system:
        system.child("java")
        assert system.end(signal.SIGINT) == 0
        assert system.complained.read_text() == ""


def test_a_store_that_ends_is_one_clear_line(tmp_path: Path) -> None:
    """Given a graph that dies at its start, then the supervisor ends with a line that names its log, and at once."""
    with started(tmp_path / "data") as system:
        children = system.children()
        os.kill(system.child("java"), signal.SIGKILL)
        assert system.process.wait(20) == 2
        assert system.complained.read_text() == (
            f"the embedded graph ended with -9: see {tmp_path / 'data' / 'logs' / 'graph'}.log\n"
        )
        assert gone_within(children, 5)


def test_parts_that_settings_name_are_used_and_not_started(stores: Addresses, redis_url: str, tmp_path: Path) -> None:
    """Given a graph, a database and a Redis elsewhere, when the system starts, then it starts none of its own."""
    with started(tmp_path / "data", {**stores.environment(), "REDIS_URL": redis_url}) as system:
        system.wait_for_welcome()
        assert httpx.get(f"{system.base}/readyz").json()["stores"] == {"graph": "ok", "sql": "ok", "redis": "ok"}
        commands = {command.partition(" ")[2] for command in system.children().values()}
        # Once an hour the worker has a child of its own.
        assert commands - {"-m worker.recommendations"} == {"-m ops.api_server", "-m worker"}
        assert {path.name for path in system.data.iterdir()} == {"lock", "logs", "issuer"}
        assert system.end(signal.SIGTERM) == 0


NOWHERE = "127.0.0.1:9"


@pytest.mark.parametrize(
    ("name", "variables"),
    [
        ("NEO4J_URI", {"NEO4J_URI": f"bolt://{NOWHERE}"}),
        ("NEO4J_URI", {"NEO4J_URI": f"http://{NOWHERE}"}),
        ("DATABASE_URL", {"DATABASE_URL": f"postgresql://user@{NOWHERE}/kinship"}),
        ("DATABASE_URL", {"DATABASE_URL": "postgresql://user@127.0.0.1:port/kinship"}),
        ("DATABASE_URL", {"DATABASE_URL": "sqlite:////no/such/folder/kinship.sqlite"}),
        ("REDIS_URL", {"REDIS_URL": f"redis://{NOWHERE}/0"}),
        ("OIDC_ISSUER", {"OIDC_ISSUER": f"http://{NOWHERE}"}),
        ("OIDC_ISSUER", {"ENVIRONMENT": "production"}),
        ("ENVIRONMENT", {"ENVIRONMENT": "moon"}),
        ("HOST", {"HOST": "0.0.0.0"}),
    ],
)
def test_a_wrong_value_is_one_clear_line_before_anything_starts(
    tmp_path: Path, name: str, variables: dict[str, str]
) -> None:
    """Given a setting that cannot work, then the exit code is 2, one line names it, and no store has been started."""
    with started(tmp_path / "data", variables) as system:
        assert system.process.wait(60) == 2
        said = system.complained.read_text()
        assert said.startswith(f"{name}: ")
        assert said.count("\n") == 1
        assert system.said.read_text() == ""
        assert list(tmp_path.glob("data/*/*")) == []


def test_a_port_that_is_taken_is_one_clear_line(tmp_path: Path, redis_url: str) -> None:
    """Given a port on which another program listens, when it is asked for by name, then that is the line."""
    taken = int(redis_url.rpartition(":")[2].partition("/")[0])
    with started(tmp_path / "data", port=taken) as system:
        assert system.process.wait(60) == 2
        assert system.complained.read_text() == f"PORT: {taken} cannot be used: Address already in use\n"
