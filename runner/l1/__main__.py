"""The command ``python -m runner.l1``: submits finished batches to an L1, and asks it about them.

``docs/l1.md`` says what is posted, and what that means.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner import streams
from runner.audit.check import LOG_NAME
from runner.errors import InputError, RunnerError, VerificationFailedError
from runner.evm.registry import NOBODY, Registry, warning_of
from runner.folder import read_record
from runner.l1.batch import read_batch
from runner.l1.figures import Figures
from runner.l1.observer import Silent
from runner.l1.reach import check_libraries, open_chain, registry_of
from runner.l1.record import l1_record, rows
from runner.l1.session import open_session
from runner.l1.settings import ADDRESS, load
from runner.l1.submission import DONE, Mode
from runner.l1.submit import look, submit
from runner.monitoring.ledger import ledger_path

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from runner.l1.batch import ProvedBatch
    from runner.l1.session import Settled
    from runner.l1.settings import L1Settings

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    parser = _parser()
    # The library takes settings in one place only; a user may put options between them.
    options, more = parser.parse_known_args(arguments)
    if strange := [word for word in more if word.startswith("-")]:
        parser.error(f"unrecognized arguments: {' '.join(strange)}")
    options.settings = [*options.settings, *more]
    commands: dict[str, Callable[[argparse.Namespace, L1Settings], int]] = {
        "submit": _submit,
        "status": _status,
        "verify": _verify,
        "deploy": _deploy,
    }
    try:
        settings = load(options.l1, options.settings)
        check_libraries()
        return commands[options.command](options, settings)
    except OSError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except RunnerError as error:
        sys.stderr.write(f"{'error: ' if error.exit_code == 2 else ''}{error}\n")
        return error.exit_code
    except KeyboardInterrupt:
        sys.stderr.write("stopped; the same command goes on from here\n")
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m runner.l1",
        description="Submit the roots of finished batches to an L1, and ask it about them.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for name, says in (
        ("submit", "verify a finished batch and submit its root, or go on with that"),
        ("status", "say where the submission of a batch stands; sends nothing"),
        ("verify", "verify a batch and ask the chain whether its root is there"),
        ("deploy", "deploy a registry"),
    ):
        command = commands.add_parser(name, help=says, description=says)
        if name == "deploy":
            command.add_argument(
                "--verifier", metavar="ADDRESS", default=NOBODY, help="the verifier of proofs"
            )
            command.add_argument(
                "--openvm-verifier",
                metavar="ADDRESS",
                help="OpenVM's verifier of proofs; what leads to it is deployed first",
            )
        else:
            command.add_argument("folder", type=Path, help="output folder of the batch")
            command.add_argument("--guests", type=Path, help="folder of the trusted manifest")
            command.add_argument(
                "--adapter", metavar="NAME", help="the zkVM adapter to verify with"
            )
            command.add_argument(
                "--evm-proof",
                type=Path,
                metavar="FILE",
                help="the root's proof as OpenVM's SDK wraps it for a contract (JSON)",
            )
        if name in {"submit", "status"}:
            command.add_argument("--textfile", type=Path, help="the metrics file to count in")
            command.add_argument(
                "--ledger", type=Path, help="its ledger (default: the one beside the textfile)"
            )
            command.add_argument(
                "--audit", type=Path, help="the audit log (default: the one in the folder)"
            )
        command.add_argument(
            "--l1",
            metavar="NAME",
            default="rpc",
            help="a file of conf/l1, or another such file (default: %(default)s)",
        )
        command.add_argument("--json", action="store_true", help="print one JSON object")
        command.add_argument(
            "settings", nargs="*", metavar="NAME=VALUE", help="settings that differ from the file"
        )
    return parser


def _submit(options: argparse.Namespace, settings: L1Settings) -> int:
    batch = _batch(options)
    return _finish(options, submit(settings, batch, _figures(options)))


def _status(options: argparse.Namespace, settings: L1Settings) -> int:
    batch = _batch(options)
    if settings.local:
        remedy = "l1.json in the folder says what became of it"
        raise InputError("--l1", "local", "a local chain has ended with its run", remedy)
    settled = look(settings, batch, _figures(options))
    if settled is None:
        sys.stdout.write(f"{options.folder}: not submitted with this account on this chain\n")
        return 1
    return _finish(options, settled)


def _verify(options: argparse.Namespace, settings: L1Settings) -> int:
    batch = _batch(options)
    with open_chain(settings, Silent()) as (chain, info):
        registry = Registry(chain, registry_of(settings))
        verifier = registry.check()
        warning = None if verifier == NOBODY else warning_of(chain, verifier)
        found = {
            mode: registry.posted(batch.key, verified=mode is Mode.VERIFIED)
            for mode in (Mode.VERIFIED, Mode.COMMITMENT)
        }
    said: dict[str, Any] = {"key": batch.key.hex(), "chain": info.id, "registry": registry.address}
    for mode, posted in found.items():
        said[mode.name.lower()] = posted and {"poster": posted.poster, "block": posted.block}
    said["verifier"] = None if verifier == NOBODY else verifier
    said["verifier_warning"] = warning
    if options.json:
        sys.stdout.write(json.dumps(said) + "\n")
    if not any(found.values()):
        where = f"registry {registry.address} of chain {info.id}"
        raise VerificationFailedError("L1", f"the root is not at the {where}")
    if not options.json:
        for mode, posted in found.items():
            if posted is not None:
                by = f" by {verifier}" if mode is Mode.VERIFIED else ""
                by += f" ({warning})" if by and warning else ""
                sys.stdout.write(
                    f"{mode.value.upper()}{by}: key {batch.key.hex()}, posted in block"
                    f" {posted.block} by {posted.poster}\n"
                )
    return 0


def _deploy(options: argparse.Namespace, settings: L1Settings) -> int:
    if settings.local:
        remedy = "l1=local deploys a registry on its own chain"
        raise InputError("--l1", "local", "a local chain ends with its run", remedy)
    for field in ("verifier", "openvm_verifier"):
        given = getattr(options, field)
        if given is not None and not ADDRESS.fullmatch(given):
            name = f"--{field.replace('_', '-')}"
            raise InputError(name, given, "not an address", "give 0x and 40 hex digits")
    if options.openvm_verifier is not None and options.verifier != NOBODY:
        remedy = "give one of --verifier and --openvm-verifier"
        raise InputError("--verifier", options.verifier, "there are two verifiers", remedy)
    with open_session(settings, Silent()) as session:
        verifier = options.verifier if options.verifier != NOBODY else settings.verifier or NOBODY
        if options.openvm_verifier is not None:
            verifier = session.deploy_openvm(options.openvm_verifier)
        tracked = session.deploy(verifier)
    said = {
        "registry": tracked.contract,
        "verifier": None if verifier == NOBODY else verifier,
        "transaction": tracked.mined,
        "gas": tracked.gas_used,
    }
    if options.json:
        sys.stdout.write(json.dumps(said) + "\n")
    else:
        sys.stdout.write(f"registry {tracked.contract}, {tracked.gas_used} gas, {tracked.mined}\n")
    return 0


def _batch(options: argparse.Namespace) -> ProvedBatch:
    def say(line: str) -> None:
        if not options.json:
            sys.stdout.write(f"  ok  {line}\n")

    return read_batch(
        options.folder,
        adapter=options.adapter,
        guests=options.guests,
        evm_proof=options.evm_proof,
        say=say,
    )


def _figures(options: argparse.Namespace) -> Figures:
    """What is left in the metrics that the user names, and in the batch's own audit log."""
    textfile, ledger, audit = options.textfile, options.ledger, options.audit
    if ledger is None and textfile is not None:
        ledger = ledger_path(textfile)
    if audit is None:
        own = options.folder / LOG_NAME
        # Another's folder may have a link in the log's place, which would lead anywhere.
        audit = own if own.is_file() and not own.is_symlink() else None
    run_id = str(read_record(options.folder).get("run_id"))
    return Figures(ledger, textfile, audit, run_id)


def _finish(options: argparse.Namespace, settled: Settled) -> int:
    """Print the record. The exit code is 0 where the batch is confirmed."""
    record = l1_record(settled)
    if options.json:
        sys.stdout.write(json.dumps(record) + "\n")
    else:
        sys.stdout.writelines(f"{name:<16}{text}\n" for name, text in rows(record).items())
    return 0 if settled.tracked.state in DONE else 1


if __name__ == "__main__":
    streams.run(main)
