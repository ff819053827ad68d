"""The issuer's signing keys: one private file that all processes of a data folder share."""

import fcntl
import os
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from joserfc import jwk

from core.ids import new_id
from core.processes import write_private

ALGORITHM = "RS256"
BITS = 2048
# The newest key signs; older ones stay published for tokens that they signed.
KEPT = 3


@dataclass(frozen=True, slots=True)
class SigningKeys:
    """The keys of one state of the file, the signing one first."""

    keys: tuple[jwk.RSAKey, ...]

    @property
    def signer(self) -> jwk.RSAKey:
        return self.keys[0]

    def public(self) -> dict[str, Any]:
        """The JWKS document: public parts only."""
        return {"keys": [key.as_dict(private=False) for key in self.keys]}


class KeyStore:
    """Reads the keys, and reads them again once another process has rotated them."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "keys.json"
        make_keys(self._path)
        self._stamp: tuple[int, int] | None = None
        self._keys = SigningKeys(())

    def current(self) -> SigningKeys:
        found = self._path.stat()
        stamp = (found.st_ino, found.st_mtime_ns)
        if stamp != self._stamp:
            self._keys, self._stamp = read_keys(self._path), stamp
        return self._keys

    def rotate(self) -> None:
        """Sign with a new key from now on; safe while other processes run or rotate."""
        with locked(self._path):
            kept = read_keys(self._path).keys[: KEPT - 1]
            draft = draft_of(self._path, (new_key(), *kept))
            draft.replace(self._path)


def make_keys(path: Path) -> None:
    """Write the first key unless there is one; of two processes at once, the first one's key stays."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if path.exists():
        return
    draft = draft_of(path, (new_key(),))
    try:
        # A link appears whole or not at all, and fails where the name is taken; a rename would replace.
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()


def draft_of(path: Path, keys: tuple[jwk.RSAKey, ...]) -> Path:
    """A private file next to the path, complete on the disk, still under a name of its own."""
    draft = path.with_name(f".{path.name}.{new_id()}")
    write_private(draft, orjson.dumps({"keys": [key.as_dict(private=True) for key in keys]}).decode())
    return draft


def read_keys(path: Path) -> SigningKeys:
    return SigningKeys(tuple(jwk.RSAKey.import_key(data) for data in orjson.loads(path.read_bytes())["keys"]))


def new_key() -> jwk.RSAKey:
    return jwk.RSAKey.generate_key(BITS, {"kid": new_id(), "use": "sig", "alg": ALGORITHM}, private=True)


@contextmanager
def locked(path: Path) -> Generator[None, None, None]:
    """Hold the folder's lock, so that no rotation is lost to another one."""
    with path.with_name(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
