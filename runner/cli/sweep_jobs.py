"""Hydra's side of a sweep: launches the jobs that are missing, and keeps the record."""

from __future__ import annotations

import contextlib
import copy
import io
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Quote, QuotedString
from hydra.core.plugins import Plugins
from hydra.core.utils import JobStatus, setup_globals
from omegaconf import OmegaConf, open_dict, read_write

from runner.batch.identity import made_from
from runner.cli import config, session
from runner.cli.sweep import Folders, Place, SweepJob, SweepRecord, Wanted, look
from runner.errors import InputError, RunnerError, WorkerDiedError
from runner.plan.inputs import leaves

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from hydra.core.override_parser.types import Override
    from hydra.core.utils import JobReturn
    from hydra.types import HydraContext, TaskFunction
    from omegaconf import DictConfig

    from runner.batch.identity import MadeFrom
    from runner.batch.settings import Settings

__all__ = ["Jobs", "say"]


class Jobs:
    """Launches the jobs of one sweep: those whose result is not in its folder yet.

    A job that fails is noted and stops no other. What a job returns is its wall seconds.

    Args:
        context: Hydra's.
        task: one run.
        conf: the composed config of the sweep.
    """

    def __init__(self, context: HydraContext, task: TaskFunction, conf: DictConfig) -> None:
        self._loader = context.config_loader
        self._conf = conf
        self._launcher = Plugins.instance().instantiate_launcher(context, task, conf)
        self.folder = Path(str(conf.hydra.sweep.dir))
        self._record = SweepRecord(self.folder, sys.argv)
        self._folders: Folders | None = None

    def parse(self, arguments: Sequence[str], params: Mapping[str, Any]) -> list[Override]:
        """The overrides of a sweep; an argument wins over a parameter of the same name."""
        given = [*(f"{name}={value}" for name, value in params.items()), *arguments]
        parser = OverridesParser.create(config_loader=self._loader)
        return list({one.get_key_element(): one for one in parser.parse_overrides(given)}.values())

    def compose(self, overrides: Sequence[str], number: int = 0) -> DictConfig:
        """The config of one job. Raises what Hydra and OmegaConf raise when there is none."""
        composed = self._loader.load_sweep_config(self._conf, list(overrides))
        with open_dict(composed):
            composed.hydra.job.id = str(number)
            composed.hydra.job.num = number
        return composed

    def settings(self, composed: DictConfig) -> Settings:
        """What a job would run with. Raises InputError."""
        output = self.folder / str(composed.hydra.sweep.subdir)
        with read_write(composed.hydra), open_dict(composed.hydra):
            composed.hydra.runtime.output_dir = str(output.absolute())
        with _as_current(composed):
            plain = copy.deepcopy(composed)
            with read_write(plain), open_dict(plain):
                del plain["hydra"]
            return config.settings(plain, output)

    @contextlib.contextmanager
    def open(self) -> Iterator[SweepRecord]:
        """The sweep's folder, for this process alone; its record is kept when the sweep ends.

        Raises:
            InputError: another sweep is at work there.
            OSError: it cannot be made or read.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.folder / ".sweep.lock", timeout=0)
        try:
            lock.acquire()
        except Timeout:
            raise InputError(
                "hydra.sweep.dir",
                str(self.folder),
                "another sweep is at work in this folder",
                "wait until it has ended, or choose another",
            ) from None
        try:
            self._folders = Folders(self.folder)
            OmegaConf.save(self._conf, self.folder / "multirun.yaml")
            session.current().sweep = self._record
            yield self._record
        except KeyboardInterrupt:
            self._record.interrupted = True
            raise
        finally:
            try:
                self._record.write()
            except OSError as error:
                say(f"warning: {self.folder} takes no record of the sweep: {error.strerror}")
            lock.release()

    def plan(self, batch: Sequence[Sequence[str]]) -> list[Wanted]:
        """What the next jobs, given by their overrides, want. Raises as :meth:`compose`."""
        first = len(self._record.jobs)
        # Composing is what a sweep of small jobs spends its time on: done once for each.
        return [self._wanted(overrides, number) for number, overrides in enumerate(batch, first)]

    def run(
        self, batch: Sequence[Sequence[str]], wanted: Sequence[Wanted] | None = None
    ) -> list[SweepJob]:
        """Run jobs in the open folder; what became of each.

        Args:
            batch: their overrides.
            wanted: what :meth:`plan` said of them, where it was asked before.
        """
        assert self._folders is not None  # noqa: S101  # run() stands in open()
        jobs, first = self._record.jobs, len(self._record.jobs)
        wanted = self.plan(batch) if wanted is None else wanted
        places = self._folders.place(wanted)
        jobs.extend(
            _planned(number, overrides, place)
            for number, (overrides, place) in enumerate(zip(batch, places, strict=True), first)
        )
        for job in jobs[first:]:
            if job.status == "skipped" and not self._conf.quiet:
                say(f"job {job.number}{self._record.named(job)}: done before, in {job.folder}")
        todo = [job for job in jobs[first:] if job.status != "skipped"]
        own = [place.folder == one.folder for place, one in zip(places, wanted, strict=True)]
        if todo:
            # Hydra numbers what it is given: once jobs are left out, folders must be named.
            named = len(todo) < len(batch) or not all(own)
            asked = [
                (*job.overrides, _subdir(job.folder)) if named else job.overrides for job in todo
            ]
            self._launch(asked, todo, {job.number: wanted[job.number - first] for job in todo})
        self._record.write()
        return jobs[first:]

    def _launch(
        self,
        asked: Sequence[Sequence[str]],
        todo: Sequence[SweepJob],
        wanted: Mapping[int, Wanted],
    ) -> None:
        jobs = self._record.jobs
        try:
            returns = self._launcher.launch(asked, initial_job_idx=todo[0].number)
        except BaseException as error:
            # Stopped; or joblib lost a process of its pool, and with it what all jobs returned.
            # Their folders know.
            for job in todo:
                found, made = look(self.folder / job.folder), wanted[job.number].made_from
                if found.done and found.wall_s is not None and made in (None, found.made_from):
                    jobs[job.number] = job.ended(found.wall_s)
            if not isinstance(error, Exception):
                raise
            if not isinstance(error, OSError):
                words = " ".join(str(error).split())
                error = WorkerDiedError(f"{type(error).__name__}, {words[:100]}")
            for job in todo:
                if jobs[job.number].status == "unfinished":
                    jobs[job.number] = job.ended(error)
        else:
            for job, returned in zip(todo, returns, strict=True):
                jobs[job.number] = job.ended(_result(returned))

    def _wanted(self, overrides: Sequence[str], number: int) -> Wanted:
        composed = self.compose(overrides, number)
        with _as_current(composed):
            folder = str(composed.hydra.sweep.subdir)
        # Where nothing was done before there is nothing to compare with.
        before = self._folders if self._folders is not None else self.folder.is_dir()
        return Wanted(folder, self._made_from(composed) if before else None)

    def _made_from(self, composed: DictConfig) -> MadeFrom | None:
        try:
            settings = self.settings(composed)
            inputs = leaves(
                settings.spec,
                inputs=settings.inputs,
                count=settings.count,
                inputs_file=settings.inputs_file,
            )
            return made_from(settings, inputs)
        except RunnerError:
            return None  # the job fails in its own words


def _planned(number: int, overrides: Sequence[str], place: Place) -> SweepJob:
    job = SweepJob(number, place.folder, tuple(overrides))
    if place.done is None:
        return job
    return SweepJob(number, place.folder, job.overrides, "skipped", place.done.wall_s, 0)


def _result(returned: JobReturn) -> float | Exception:
    if returned.status is JobStatus.COMPLETED:
        return float(returned.return_value)
    with contextlib.redirect_stderr(io.StringIO()):  # Hydra has a line of its own for it
        try:
            _ = returned.return_value
        except Exception as error:  # noqa: BLE001  # what the job raised
            return error
    return WorkerDiedError("the launcher gave no result")


def _subdir(folder: str) -> str:
    return f"hydra.sweep.subdir={QuotedString(folder, Quote.single).with_quotes()}"


@contextlib.contextmanager
def _as_current(composed: DictConfig) -> Iterator[None]:
    """Hydra's resolvers look into this config."""
    setup_globals()
    current = HydraConfig.instance()
    around = current.cfg
    current.set_config(composed)
    try:
        yield
    finally:
        current.cfg = around


def say(line: str) -> None:
    """Tell the user, whatever the log level is."""
    sys.stderr.write(f"{line}\n")
