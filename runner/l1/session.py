"""Wires a submission from its settings: the signer, the registry, the store, the engine.

Everything that can be wrong with the contracts is found here, before anything is signed: they have
the code that they must have.
"""

from __future__ import annotations

import contextlib
import logging
import os
import tempfile
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from runner.errors import InputError, L1Error
from runner.evm.contracts import OPENVM_VERIFIER, deployment_of
from runner.evm.faults import Fault
from runner.evm.keys import DEV_KEY, LocalKey, open_signer
from runner.evm.registry import (
    NOBODY,
    Registry,
    check_verifier,
    deployment,
    refuse_unsafe,
    warning_of,
)
from runner.l1.engine import Engine
from runner.l1.gas import estimate_before
from runner.l1.observer import Observer, entry_of
from runner.l1.reach import check_libraries, open_chain
from runner.l1.store import locked_store
from runner.l1.submission import Mode, Submission

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from runner.evm.chain import Chain
    from runner.evm.keys import Signer
    from runner.l1.batch import ProvedBatch
    from runner.l1.gas import Before
    from runner.l1.observer import Watcher
    from runner.l1.reach import ChainInfo
    from runner.l1.settings import L1Settings
    from runner.l1.store import Store
    from runner.l1.submission import Tracked

__all__ = ["Session", "Settled", "open_session"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Settled:
    """What has become of a batch on a chain.

    Attributes:
        batch: the batch.
        tracked: its submission, and where that stands.
        attempts: the number of transactions that were signed for it.
        chain: which chain it is.
        registry: the registry's address.
        verifier: the address of the registry's verifier, :data:`NOBODY` where it has none.
        warning: what must be said of that verifier beside its name, or None.
        before: what the leaves would have cost one by one, or None.
        deployment: the registry's deployment, if this chain saw it from here; else None.
    """

    batch: ProvedBatch
    tracked: Tracked
    attempts: int
    chain: ChainInfo
    registry: str
    verifier: str
    warning: str | None
    before: Before | None
    deployment: Tracked | None


class Session:
    """A chain, with everything that is needed to submit to it."""

    def __init__(  # noqa: PLR0913  # the parts of a session, all by keyword
        self,
        *,
        settings: L1Settings,
        chain: Chain,
        info: ChainInfo,
        signer: Signer,
        store: Store,
        watcher: Watcher,
    ) -> None:
        self.chain = chain
        self.info = info
        self.signer = signer
        self.store = store
        self._settings = settings
        self._watcher = watcher

    def deploy(self, verifier: str = NOBODY) -> Tracked:
        """Deploy a registry, or find the one that was deployed before from the same code.

        Raises:
            L1Error: it could not be deployed.
        """
        wanted, digest = self._settings.verifier, self._settings.verifier_code_sha256
        if wanted is not None and verifier.lower() != wanted.lower():
            raise _another(verifier, wanted)
        if digest is not None and verifier != NOBODY:
            check_verifier(self.chain, verifier, digest)
        return self._deployed(deployment(verifier), "the registry")

    def deploy_openvm(self, verifier: str) -> str:
        """Deploy what lets a registry ask OpenVM's verifier, or find what was deployed before.

        Returns:
            The address that a registry is given as its verifier.

        Raises:
            L1Error: it could not be deployed, or there is no contract at the verifier's address.
        """
        code = self.chain.code(verifier)
        if not code:
            raise L1Error(Fault.WRONG_CONTRACT.value, f"there is no contract at {verifier}")
        refuse_unsafe(self.chain, verifier, code)
        tracked = self._deployed(deployment_of(OPENVM_VERIFIER, verifier), OPENVM_VERIFIER)
        assert tracked.contract is not None  # noqa: S101  # it has just been checked
        return tracked.contract

    def _deployed(self, code: bytes, what: str) -> Tracked:
        submission = Submission(sha256(code).hexdigest(), Mode.DEPLOYMENT, None, code)
        tracked = self._engine(None).submit(submission)
        if tracked.contract is None:
            raise L1Error(Fault.REVERTED.value, f"{what} was not deployed: {tracked.reason}")
        return tracked

    def submit(self, batch: ProvedBatch, address: str) -> Settled:
        """Submit a batch to a registry, and wait until it is confirmed.

        Raises:
            L1Error: it could not be submitted, or not be confirmed in time.
        """
        registry = Registry(self.chain, address)
        verifier, submission = self._checked(registry, batch)
        account = self.signer.address
        if self.store.find(submission) is None and entry_of(registry, submission) is None:
            with contextlib.suppress(L1Error):  # the submission itself will say what is wrong
                before = estimate_before(
                    self.chain, submission, account, batch.root.self_image_id, batch.leaf_hashes
                )
                self.store.note_before(submission, before)
        tracked = self._engine(registry).submit(submission)
        return self._settled(batch, tracked, registry, verifier)

    def look(self, batch: ProvedBatch, address: str) -> Settled | None:
        """Where a batch stands, without sending anything; None if it was not submitted from here.

        Raises:
            L1Error: the node does not answer.
        """
        registry = Registry(self.chain, address)
        verifier, submission = self._checked(registry, batch)
        tracked = self.store.find(submission)
        if tracked is None:
            return None
        tracked = self._observer(registry).look(tracked)
        return self._settled(batch, tracked, registry, verifier)

    def _checked(self, registry: Registry, batch: ProvedBatch) -> tuple[str, Submission]:
        """The registry's verifier, and what can be submitted to a registry that has it."""
        verifier, wanted = registry.check(), self._settings.verifier
        if wanted is not None and verifier.lower() != wanted.lower():
            raise _another(verifier, wanted)
        if batch.seal is None or verifier == NOBODY:
            if batch.seal is not None:
                log.warning("this registry verifies no proofs: the root is committed to only")
            return verifier, batch.commitment(registry.address)
        digest = self._settings.verifier_code_sha256
        if digest is None:
            raise InputError(
                "l1.verifier_code_sha256",
                None,
                "the proof is to be verified on chain, and nothing says by which code",
                "give the SHA-256 of the verifier's code",
            )
        registry.check(digest)
        return verifier, batch.verification(registry.address)

    def _settled(
        self, batch: ProvedBatch, tracked: Tracked, registry: Registry, verifier: str
    ) -> Settled:
        deployed = [
            one
            for one in self.store.all()
            if one.submission.mode is Mode.DEPLOYMENT
            and (one.contract or "").lower() == registry.address.lower()
        ]
        return Settled(
            batch=batch,
            tracked=tracked,
            attempts=len(self.store.attempts(tracked.submission)),
            chain=self.info,
            registry=registry.address,
            verifier=verifier,
            warning=None if verifier == NOBODY else warning_of(self.chain, verifier),
            before=self.store.before(tracked.submission),
            deployment=deployed[0] if deployed else None,
        )

    def _observer(self, registry: Registry | None) -> Observer:
        return Observer(
            chain=self.chain,
            registry=registry,
            account=self.signer.address,
            store=self.store,
            confirmations=self._settings.limits.confirmations,
            watcher=self._watcher,
        )

    def _engine(self, registry: Registry | None) -> Engine:
        return Engine(
            chain=self.chain,
            chain_id=self.info.id,
            signer=self.signer,
            store=self.store,
            observer=self._observer(registry),
            limits=self._settings.limits,
        )


@contextlib.contextmanager
def open_session(
    settings: L1Settings, watcher: Watcher, env: Mapping[str, str] = os.environ
) -> Iterator[Session]:
    """A session on the chain that the settings name. A local chain lives as long as it.

    Args:
        settings: where and how to submit.
        watcher: what is told of everything that happens.
        env: the environment variables.

    Raises:
        InputError: a setting cannot be used.
        L1Error: the node does not answer, or is of another chain, or the account is in use.
    """
    check_libraries()
    with contextlib.ExitStack() as stack:
        chain, info = stack.enter_context(open_chain(settings, watcher, env))
        if settings.local:
            signer: Signer = LocalKey(DEV_KEY)
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="runner-l1-")))
        else:
            signer = open_signer(settings.key, info.id, env)
            name = f"{info.id}-{info.genesis[2:18]}-{signer.address.lower()}"
            folder = settings.state_folder(env) / name
        store = stack.enter_context(locked_store(folder, settings.limits.timeout_s))
        yield Session(
            settings=settings,
            chain=chain,
            info=info,
            signer=signer,
            store=store,
            watcher=watcher,
        )


def _another(verifier: str, wanted: str) -> L1Error:
    what = "no verifier" if verifier == NOBODY else f"the verifier {verifier}"
    said = f"the registry asks {what}, not the {wanted} of l1.verifier"
    return L1Error(Fault.WRONG_CONTRACT.value, said)
