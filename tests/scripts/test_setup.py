"""The steps of the set-up: which are made, and in which order."""

from __future__ import annotations

import re
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from runner.files import SHIPPED

sys.path.insert(0, str(SHIPPED / "scripts"))

import openvm_wheel
import risc0_wheel
import setup
import steps
import wheels
from steps import SetupError

if TYPE_CHECKING:
    from collections.abc import Mapping


class TestSteps:
    @pytest.fixture
    def place(self, tmp_path: Path) -> setup.Place:
        root = tmp_path / "clone"
        for crate in (risc0_wheel.CRATE, openvm_wheel.CRATE, wheels.SHARED):
            (root / crate).mkdir(parents=True)
            (root / crate / "lib.rs").write_text("// a")
        (root / "pyproject.toml").write_text("[project]")
        return setup.Place(root, tmp_path / "cache")

    @pytest.fixture
    def done(self, place: setup.Place, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """The list of what the set-up did. Nothing is really made."""
        did: list[str] = []

        def make_venv(_place: setup.Place, _env: Mapping[str, str]) -> None:
            did.append("venv")
            place.python.parent.mkdir(parents=True, exist_ok=True)
            place.python.touch()
            (place.venv / "pyvenv.cfg").write_text("home = /usr/bin\nversion = 3.12.3\n")

        def install(*_: object) -> bool:
            did.append("risc0")
            return False

        def install_openvm(*_: object) -> bool:
            did.append("openvm")
            return True

        monkeypatch.setattr(setup, "make_venv", make_venv)
        monkeypatch.setattr(setup, "run", lambda command, **_: did.append(command[-1][-5:]))
        monkeypatch.setattr(risc0_wheel, "install", install)
        monkeypatch.setattr(risc0_wheel, "preflight", lambda *_: None)
        monkeypatch.setattr(openvm_wheel, "install", install_openvm)
        monkeypatch.setattr(openvm_wheel, "preflight", lambda *_: None)
        return did

    def test_a_second_set_up_does_nothing(self, place: setup.Place, done: list[str]) -> None:
        setup.set_up(place, "run", {})
        assert done == ["venv", "port]", "risc0"]
        setup.set_up(place, "run", {})
        setup.set_up(place, "packages", {})
        assert len(done) == 3
        setup.set_up(place, "dev", {})
        assert done[3:] == ["[dev]"]

    def test_test_packages_include_those_of_a_run(
        self, place: setup.Place, done: list[str]
    ) -> None:
        setup.set_up(place, "dev", {})
        setup.set_up(place, "run", {})
        assert done == ["venv", "[dev]", "risc0"]

    def test_each_zkvm_is_set_up_without_the_other(
        self, place: setup.Place, done: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        setup.set_up(place, "run-openvm", {})
        assert done == ["venv", "port]", "openvm"]
        setup.set_up(place, "run-openvm", {})
        setup.set_up(place, "run-all", {})
        assert done[3:] == ["risc0"]
        # A wheel that was built for one CPU is not used on another.
        monkeypatch.setattr(wheels, "cpu_model", lambda: "flags : sse2")
        setup.set_up(place, "run-all", {})
        assert done[4:] == ["risc0", "openvm"]

    def test_changed_inputs_are_noticed(self, place: setup.Place, done: list[str]) -> None:
        setup.set_up(place, "run", {})
        (place.root / risc0_wheel.CRATE / "lib.rs").write_text("// b")
        setup.set_up(place, "run", {})
        assert done[3:] == ["risc0"]
        setup.set_up(place, "run", {"RUNNER_CUDA": "1"})
        assert done[4:] == ["risc0"]
        (place.root / "pyproject.toml").write_text("[project] # b")
        setup.set_up(place, "run", {"RUNNER_CUDA": "1"})
        assert done[5:] == ["port]"]

    def test_the_shared_crate_is_an_input_of_every_extension(
        self, place: setup.Place, done: list[str]
    ) -> None:
        setup.set_up(place, "run-all", {})
        (place.root / wheels.SHARED / "lib.rs").write_text("// b")
        setup.set_up(place, "run-all", {})
        assert done == ["venv", "port]", "risc0", "openvm", "risc0", "openvm"]

    def test_the_rust_tests_of_all_crates_are_run(
        self, place: setup.Place, done: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("RUNNER_CACHE", str(place.cache))
        monkeypatch.setattr(wheels, "test_shared", lambda *_: done.append("tests of shared"))
        for name, wheel in setup.WHEELS.items():
            monkeypatch.setattr(
                wheel, "run_tests", lambda *_, name=name: done.append(f"tests of {name}")
            )
        monkeypatch.setattr(setup, "venv_version", lambda _: "3.12.3")
        assert setup.main(["native-tests"]) == 0
        assert done == ["tests of shared", "tests of risc0", "tests of openvm"]

    def test_missing_programs_are_asked_for_again_only_on_request(
        self, place: setup.Place, done: list[str]
    ) -> None:
        setup.set_up(place, "run", {})
        setup.set_up(place, "run", {})
        assert done.count("risc0") == 1
        setup.set_up(place, "run", {}, retry=True)
        assert done.count("risc0") == 2
        setup.set_up(place, "run", {"RECURSION_SRC_PATH": "x"})
        assert done.count("risc0") == 3

    def test_a_failed_step_is_not_done(
        self, place: setup.Place, done: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: object) -> bool:
            raise SetupError("no compiler")

        with monkeypatch.context() as patch:
            patch.setattr(risc0_wheel, "install", fail)
            with pytest.raises(SetupError):
                setup.set_up(place, "run", {})
        setup.set_up(place, "run", {})
        assert done == ["venv", "port]", "risc0"]

    @pytest.mark.parametrize("version", ["3.10.4", "3.14.0", ""])
    def test_an_environment_of_another_python_is_replaced(
        self, version: str, place: setup.Place, done: list[str]
    ) -> None:
        setup.set_up(place, "packages", {})
        (place.venv / "pyvenv.cfg").write_text(f"version = {version}\n")
        setup.set_up(place, "packages", {})
        assert done.count("venv") == 2

    def test_an_environment_without_its_interpreter_is_replaced(
        self, place: setup.Place, done: list[str]
    ) -> None:
        setup.set_up(place, "packages", {})
        place.python.unlink()
        setup.set_up(place, "packages", {})
        assert done.count("venv") == 2

    def test_one_at_a_time(self, place: setup.Place, capsys: pytest.CaptureFixture[str]) -> None:
        inside = threading.Event()

        def other() -> None:
            with setup.alone(place.cache):
                inside.set()

        thread = threading.Thread(target=other)
        with setup.alone(place.cache):
            thread.start()
            assert not inside.wait(0.1)
        thread.join(10)
        assert inside.is_set()
        assert "another set-up is running" in capsys.readouterr().err

    def test_cache_folder(self) -> None:
        assert setup.cache_folder({"RUNNER_CACHE": "/c"}) == Path("/c")
        assert setup.cache_folder({"XDG_CACHE_HOME": "/x"}) == Path("/x/zk-batch-runner")
        assert setup.cache_folder({}) == Path.home() / ".cache/zk-batch-runner"

    def test_errors_are_one_line_and_exit_2(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        def fail(*_: object, **__: object) -> None:
            raise SetupError("no Rust toolchain; install one")

        monkeypatch.setattr(setup, "set_up", fail)
        assert setup.main(["run"]) == 2
        assert capsys.readouterr().err == "[set-up] failed: no Rust toolchain; install one\n"


def test_a_missing_program_is_one_line() -> None:
    with pytest.raises(SetupError, match=r"^/no/such: No such file or directory; see"):
        steps.run(["/no/such"])
    with pytest.raises(SetupError, match=r"`false` failed \(exit 1\); try again"):
        steps.run(["false"], remedy="try again")
    assert steps.ask("/no/such") == ""
    assert steps.ask("false") == ""


def test_every_target_is_listed_and_phony() -> None:
    text = (SHIPPED / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):(?!=)", text, re.MULTILINE))
    described = set(re.findall(r"^([a-z-]+):.*## .+", text, re.MULTILINE))
    phony = re.search(r"^\.PHONY:((?:.*\\\n)*.*)$", text, re.MULTILINE)
    assert phony is not None
    assert targets == described == set(phony.group(1).replace("\\", " ").split())
