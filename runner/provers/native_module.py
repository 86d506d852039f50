"""The errors of an adapter's native module, in the runner's terms.

Every native module raises one exception, whose ``args`` are ``(code, message)``, and a third one
where a guest failed that had printed something. Adapters that
other packages install may use these functions as well.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from runner.errors import InputError, ProverError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["not_installed", "prover_errors"]


@contextlib.contextmanager
def prover_errors(native_error: type[Exception]) -> Iterator[None]:
    """Raise a native module's exception as a ProverError with the same arguments.

    Args:
        native_error: The exception of the native module.
    """
    try:
        yield
    except native_error as error:
        raise ProverError(*error.args) from None


def not_installed(adapter: str, error: ImportError, remedy: str) -> InputError:
    """The error that an adapter's module raises if its native module cannot be imported.

    Args:
        adapter: The name of the adapter.
        error: The exception that the import raised.
        remedy: What the user can do about it.
    """
    if isinstance(error, ModuleNotFoundError):
        return InputError("prover.adapter", adapter, f"{error.name} is not installed", remedy)
    return InputError("prover.adapter", adapter, f"does not load: {error}", remedy)
