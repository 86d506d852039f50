"""The seeds of long runs: what a guest's random numbers come from where its run is cut.

Every guest draws a few random bytes when it starts. They keep the digests of its memory, which
stand in its receipt, from telling what is in the memory. A run that is to be cut into the same
segments again must draw the same ones. So they come from a secret of this user, and from what is
run.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import os
from typing import TYPE_CHECKING

from runner.files import user_path

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["seed_for", "user_secret"]

log = logging.getLogger(__name__)

_BYTES = 32


def user_secret(env: Mapping[str, str]) -> bytes:
    """The secret of this user, which is made when it is first needed.

    It lies in the user's state folder, or where ``RUNNER_SECRET`` says, and only the user can read
    it. Where it cannot be kept there is a new one for each run, and a run that was stopped does not
    find the segments that it had proved.
    """
    try:
        path = user_path(env, "RUNNER_SECRET", "state", "secret")
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except FileExistsError:
            pass
        else:
            with os.fdopen(handle, "wb") as file:
                file.write(os.urandom(_BYTES))
        secret = path.read_bytes()
        if len(secret) == _BYTES:
            return secret
        log.warning("%s does not hold %d bytes; a new secret is used for this run", path, _BYTES)
    except (OSError, RuntimeError) as error:
        log.warning("no secret is kept for long runs: %s", error)
    return os.urandom(_BYTES)


def seed_for(secret: bytes, key: str) -> bytes:
    """The seed of one run, 32 bytes.

    Args:
        secret: the secret of the user.
        key: the key of the run's proof in the cache, which says what is run.
    """
    return hmac.digest(secret, key.encode(), hashlib.sha256)
