"""The RISC Zero extension in its process: dev mode, threads and the interpreter's lock."""

from __future__ import annotations

import json
import sys
import threading
from pathlib import Path

import runner_risc0 as native

from runner.plan.journal import padded
from tests.native.risc0 import GUESTS, elf, fibonacci, number, python
from tests.threads import side_by_side


def test_dev_mode_in_the_environment_changes_nothing() -> None:
    code = """
import json, sys
from pathlib import Path
import runner_risc0 as native
elf, receipt = Path(sys.argv[1]).read_bytes(), Path(sys.argv[2]).read_bytes()
run = native.execute(elf, (20).to_bytes(4, "little"))
fake = bytearray(receipt)
fake[7] = 0
try:
    native.verify(bytes(fake), bytes.fromhex(sys.argv[3]))
    refused = None
except native.NativeError as error:
    refused = error.args[0]
try:
    native.verify(receipt, bytes(32))
    other = None
except native.NativeError as error:
    other = error.args[0]
print(json.dumps([
    run.journal.hex(), run.user_cycles, run.total_cycles, refused, other,
    native.verify(receipt, bytes.fromhex(sys.argv[3])).hex(),
]))
"""
    stored = Path(__file__).parent / "data" / "fibonacci-10"
    args = (
        str(GUESTS["fibonacci"].elf_path),
        str(stored.with_suffix(".receipt")),
        stored.with_suffix(".image_id").read_text().strip(),
    )
    plain, dev = [json.loads(python(code, *args, RISC0_DEV_MODE=mode)) for mode in ("", "1")]
    assert plain == dev
    assert dev[0] == (6765).to_bytes(8, "little").hex()
    assert dev[3:5] == ["malformed_receipt", "verification_failed"]


def turns_during(message: bytes) -> int:
    """The number of turns, up to 1000, of a loop in this thread while another thread hashed."""
    running, done = threading.Event(), threading.Event()

    def work() -> None:
        running.set()
        native.execute(elf("sha256"), message)
        done.set()

    thread = threading.Thread(target=work)
    thread.start()
    running.wait()
    turns = 0
    while turns < 1000 and not done.is_set():
        turns += 1
    thread.join()
    return turns


def test_other_threads_run_meanwhile() -> None:
    interval = sys.getswitchinterval()
    # No switch is involuntary: this thread runs only while the other one has released the lock.
    sys.setswitchinterval(1000)
    try:
        # It is tried again, because a busy machine may not give this thread a processor in time.
        assert any(turns_during(padded(bytes(400_000))) for _ in range(10))
    finally:
        sys.setswitchinterval(interval)


def test_executions_side_by_side() -> None:
    found: dict[int, int] = {}

    def work(n: int) -> None:
        found[n] = number(fibonacci(n))

    side_by_side(work, range(10, 18))
    assert found == {10: 55, 11: 89, 12: 144, 13: 233, 14: 377, 15: 610, 16: 987, 17: 1597}
