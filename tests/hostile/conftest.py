"""The running application, as the tests of the API have it."""

from tests.api.conftest import system

__all__ = ["system"]
