"""Keys that let a client in: kept as hashes, compared in constant time."""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path

from starlette.datastructures import Headers

from distingo.errors import UsageError

_SHORTEST = 16


def read_keys(path: Path) -> tuple[bytes, ...]:
    """Read a file with one key a line; empty lines and those that begin with ``#`` do not count.

    Returns:
        SHA-256 of each key.

    Raises:
        UsageError: The file can't be read, holds no key, or a key could be guessed.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "no UTF-8 text"
        raise UsageError(f"--api-key-file {path}: can't be read ({reason})") from error
    keys = [line.strip() for line in lines if line.strip() and not line.strip().startswith("#")]
    if not keys:
        raise UsageError(
            f"--api-key-file {path}: holds no key; write one a line, for example from `openssl rand -hex 32`"
        )
    if any(len(key) < _SHORTEST for key in keys):
        raise UsageError(
            f"--api-key-file {path}: a key of fewer than {_SHORTEST} characters can be guessed; make it longer"
        )
    return tuple(hash_key(key) for key in keys)


def hash_key(key: str) -> bytes:
    """What is kept of a key."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()


def given_key(headers: Headers) -> str | None:
    """The key that a request brings: ``Authorization: Bearer ...`` or ``X-API-Key: ...``."""
    scheme, _, key = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and key.strip():
        return key.strip()
    return headers.get("x-api-key")


def find_key(key: str, hashes: tuple[bytes, ...]) -> bytes | None:
    """The hash of a key that is let in, or None; takes equally long whichever it is."""
    came = hash_key(key)
    found = None
    for each in hashes:
        if hmac.compare_digest(came, each):
            found = each
    return found
