"""Our root names are general; nothing that is installed may stand in front of them."""

from importlib.metadata import packages_distributions
from importlib.util import find_spec
from pathlib import Path

import pytest

from core.processes import REPOSITORY

ROOTS = sorted(path.parent.name for path in REPOSITORY.glob("*/__init__.py"))


def test_the_rooms_are_found() -> None:
    assert {"api", "worker", "customers", "community", "referrals", "loyalty", "graph", "core"} <= set(ROOTS)


@pytest.mark.parametrize("name", ROOTS)
def test_no_installed_distribution_has_the_name_of_a_room(name: str) -> None:
    assert name not in packages_distributions()
    spec = find_spec(name)
    assert spec is not None and spec.origin is not None
    assert Path(spec.origin) == REPOSITORY / name / "__init__.py"
