"""Compiles the contracts in contracts/, or checks that what is committed is what they compile to.

    python scripts/compile_contracts.py            writes contracts/*.json and the manifest
    python scripts/compile_contracts.py --check    compiles elsewhere and compares

The compiler's metadata is left out of the bytecode, so that it follows from the source and the
settings alone.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ethereum_tools import compiler, node
from setup import cache_folder
from steps import SetupError, say

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["SETTINGS", "compile_sources", "made"]

CONTRACTS = Path(__file__).resolve().parent.parent / "contracts"
NAMES = ("BatchRegistry", "OpenVmVerifier")
EVM = "cancun"
"""The oldest fork that a chain must have. Everything that the compiler emits is known since it."""

SETTINGS: dict[str, Any] = {
    "evmVersion": EVM,
    "optimizer": {"enabled": True, "runs": 10_000},
    "metadata": {"bytecodeHash": "none", "appendCBOR": False},
    "outputSelection": {"*": {"*": ["abi", "evm.bytecode", "evm.deployedBytecode"]}},
}
_DRIVER = """
const module_ = require(process.argv[1]);
const input = require('fs').readFileSync(0, 'utf8');
module_.onRuntimeInitialized = run;
let ran = false;
function run() {
  if (ran) return;
  ran = true;
  const compile = module_.cwrap('solidity_compile', 'string', ['string', 'number', 'number']);
  process.stdout.write(compile(input, 0, 0));
}
if (module_.calledRun) run();
"""


def compile_sources(
    sources: Mapping[str, str],
    version: str,
    tools: Path,
    env: Mapping[str, str],
    settings: Mapping[str, Any] = SETTINGS,
) -> dict[str, Any]:
    """Compile sources that import nothing but one another.

    Args:
        sources: the text of each file by its name.
        version: the compiler's version.
        tools: the folder that holds the compiler, or gets it.
        env: the environment, in which Node is looked for.
        settings: the compiler's settings.

    Returns:
        The contracts as the compiler gives them, by file and name.

    Raises:
        SetupError: there is no compiler, or it refuses the sources.
    """
    asked = {
        "language": "Solidity",
        "sources": {name: {"content": text} for name, text in sources.items()},
        "settings": settings,
    }
    done = subprocess.run(
        [node(env), "-e", _DRIVER, str(compiler(version, tools))],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        found = json.loads(done.stdout)
    except ValueError:
        raise SetupError(f"solc {version} did not run: {done.stderr.strip()[-400:]}") from None
    errors = [e["formattedMessage"] for e in found.get("errors", ()) if e["severity"] == "error"]
    if errors:
        raise SetupError(f"solc {version}: {' '.join(errors[0].split())}")
    contracts: dict[str, Any] = found["contracts"]
    return contracts


def made(tools: Path, env: Mapping[str, str]) -> dict[str, str]:
    """The text of every file that is made from the contracts, by its name.

    Raises:
        SetupError: they cannot be compiled.
    """
    files, rows = {}, {}
    for name in NAMES:
        source = (CONTRACTS / f"{name}.sol").read_text(encoding="utf-8")
        pragma = re.search(r"^pragma solidity ([\d.]+);$", source, re.MULTILINE)
        if pragma is None:
            raise SetupError(f"{name}.sol pins no compiler; write `pragma solidity VERSION;`")
        version = pragma.group(1)
        found = compile_sources({f"{name}.sol": source}, version, tools, env)[f"{name}.sol"][name]
        code, runtime = found["evm"]["bytecode"], found["evm"]["deployedBytecode"]
        spans = sorted(
            [span["start"], span["length"]]
            for uses in runtime["immutableReferences"].values()
            for span in uses
        )
        artifact = {
            "abi": found["abi"],
            "bytecode": code["object"],
            "runtime": runtime["object"],
            "immutables": spans,
        }
        files[f"{name}.json"] = text = json.dumps(artifact, indent=1) + "\n"
        rows[name] = {
            "compiler": f"solc {version}",
            "evm": EVM,
            "source_sha256": _sha256(source),
            "artifact_sha256": _sha256(text),
            "runtime_bytes": len(runtime["object"]) // 2,
        }
    manifest = {"settings": SETTINGS, "contracts": rows}
    return {**files, "manifest.json": json.dumps(manifest, indent=1) + "\n"}


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def main(arguments: list[str] | None = None) -> int:
    """The entry point. The exit code is 1 where a check fails, and 2 where something is missing."""
    parser = argparse.ArgumentParser(description="Compiles the contracts.")
    parser.add_argument("--check", action="store_true", help="compare, and write nothing")
    options = parser.parse_args(arguments)
    try:
        files = made(cache_folder(os.environ) / "tools", os.environ)
    except SetupError as error:
        say(f"failed: {error}")
        return 2
    wrong = 0
    for name, text in files.items():
        path = CONTRACTS / name
        if not options.check:
            path.write_text(text, encoding="utf-8")
        elif not path.exists() or path.read_text(encoding="utf-8") != text:
            say(f"{path} is not what the sources compile to; run scripts/compile_contracts.py")
            wrong += 1
    if not wrong:
        say(f"contracts: {', '.join(files)} {'as compiled' if options.check else 'written'}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
