"""The part of a sweep that knows Hydra: it launches the missing jobs and keeps the record."""

from __future__ import annotations

import contextlib
import copy
import io
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Quote, QuotedString
from hydra.core.plugins import Plugins
from hydra.core.utils import JobStatus, setup_globals
from omegaconf import OmegaConf, open_dict, read_write

from runner import lifeline, stopping
from runner.batch.identity import made_from
from runner.cli import config, session
from runner.cli.sweep import FolderRequest, SweepFolders, SweepJob, SweepRecord, inspect_folder
from runner.cli.unknown import refuse_unknown
from runner.errors import RunnerError, WorkerDiedError
from runner.files import atomic_write
from runner.locks import RUN_LOCK, SWEEP_LOCK, owned
from runner.plan.inputs import leaves
from runner.provers.guests import AGGREGATOR, Manifest
from runner.provers.prover import load_prover
from runner.text import one_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from hydra.core.override_parser.types import Override
    from hydra.core.utils import JobReturn
    from hydra.types import HydraContext, TaskFunction
    from omegaconf import DictConfig

    from runner.batch.identity import MadeFrom
    from runner.batch.settings import Settings
    from runner.cli.sweep import AssignedFolder

__all__ = ["Jobs", "say"]

_PATIENCE_S = 30.0
"""How long jobs may take to close in a sweep that is stopped. Launchers such as joblib's kill their
processes at once."""


class Jobs:
    """Launches those jobs of one sweep whose result is not in the sweep's folder yet.

    A job that fails is noted in the record and stops no other job.

    Args:
        context: what Hydra gives a sweeper, with the loader of configs in it.
        task: the function that does one run and returns its wall seconds.
        conf: the composed config of the sweep.

    Attributes:
        folder: the folder of the sweep.
    """

    def __init__(self, context: HydraContext, task: TaskFunction, conf: DictConfig) -> None:
        self._loader = context.config_loader
        self._conf = conf
        self._launcher = Plugins.instance().instantiate_launcher(context, task, conf)
        self.folder = Path(str(conf.hydra.sweep.dir))
        self._record = SweepRecord(self.folder, sys.argv)
        self._folders: SweepFolders | None = None

    def parse(self, arguments: Sequence[str], params: Mapping[str, Any]) -> list[Override]:
        """Parse the overrides of a sweep. An argument wins over a parameter of the same name.

        Args:
            arguments: the overrides on the command line.
            params: the overrides in ``hydra.sweeper.params``.
        """
        given = [*(f"{name}={value}" for name, value in params.items()), *arguments]
        parser = OverridesParser.create(config_loader=self._loader)
        return list({one.get_key_element(): one for one in parser.parse_overrides(given)}.values())

    def compose(self, overrides: Sequence[str], number: int = 0) -> DictConfig:
        """Compose the config of one job.

        Raises what Hydra and OmegaConf raise if they cannot, and InputError for a setting that is
        unknown.
        """
        composed = self._loader.load_sweep_config(self._conf, list(overrides))
        with open_dict(composed):
            composed.hydra.job.id = str(number)
            composed.hydra.job.num = number
        refuse_unknown(composed, composed.hydra)
        return composed

    def settings(self, composed: DictConfig) -> Settings:
        """The settings that a job would run with. Raises InputError."""
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
        """Hold the sweep's folder for this process alone, and write the record when the sweep ends.

        Raises:
            InputError: Another sweep or run is at work in the folder.
            OSError: The folder cannot be made or read.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        field = "hydra.sweep.dir"
        with owned(self.folder, SWEEP_LOCK, field), owned(self.folder, RUN_LOCK, field):
            try:
                lifeline.hold(self.folder)
                self._folders = SweepFolders(self.folder)
                conf = OmegaConf.to_yaml(self._conf).encode()
                atomic_write(self.folder / "multirun.yaml", conf)
                session.current().sweep = self._record
                yield self._record
            except KeyboardInterrupt:
                self._record.interrupted = True
                raise
            finally:
                with stopping.closing():
                    try:
                        self._record.write()
                    except OSError as error:
                        say(
                            f"warning: {self.folder} takes no record of the sweep: {error.strerror}"
                        )

    def requests(self, batch: Sequence[Sequence[str]]) -> list[FolderRequest]:
        """What decides which folders the next jobs get. Raises as :meth:`compose` does.

        Args:
            batch: the overrides of each job.
        """
        first = len(self._record.jobs)
        # Composing is what a sweep of small jobs spends its time on, so it is done once for each.
        return [self._request(overrides, number) for number, overrides in enumerate(batch, first)]

    def run(
        self, batch: Sequence[Sequence[str]], requests: Sequence[FolderRequest] | None = None
    ) -> list[SweepJob]:
        """Run jobs in the open folder; returns the jobs as they ended.

        Args:
            batch: the overrides of each job.
            requests: what :meth:`requests` returned for the jobs, if it was asked before.
        """
        assert self._folders is not None  # noqa: S101  # run() is called inside open()
        jobs, first = self._record.jobs, len(self._record.jobs)
        requests = self.requests(batch) if requests is None else requests
        assigned = self._folders.assign(requests)
        jobs.extend(
            _planned(number, overrides, folder)
            for number, (overrides, folder) in enumerate(zip(batch, assigned, strict=True), first)
        )
        for job in jobs[first:]:
            if job.status == "skipped" and not self._conf.quiet:
                say(f"job {job.number}{self._record.label(job)}: done before, in {job.folder}")
        todo = [job for job in jobs[first:] if job.status != "skipped"]
        own = [got.name == asked.name for got, asked in zip(assigned, requests, strict=True)]
        if todo:
            # Hydra numbers the jobs that it is given. Where some are left out, it has to be told
            # their folders.
            named = len(todo) < len(batch) or not all(own)
            given = [
                (*job.overrides, _subdir(job.folder)) if named else job.overrides for job in todo
            ]
            self._launch(given, todo, {job.number: requests[job.number - first] for job in todo})
        self._record.write()
        return jobs[first:]

    def _launch(
        self,
        given: Sequence[Sequence[str]],
        todo: Sequence[SweepJob],
        requests: Mapping[int, FolderRequest],
    ) -> None:
        """Launch jobs and note in the record how each ended.

        Args:
            given: the overrides that Hydra is given for each job.
            todo: the jobs.
            requests: what each job's result is to be made from, by the job's number.
        """
        jobs = self._record.jobs
        try:
            with stopping.before_interrupt(_stop_others):
                returns = self._launcher.launch(given, initial_job_idx=todo[0].number)
        except BaseException as error:
            # The sweep was stopped, or joblib lost a process of its pool and with it what all jobs
            # returned. The jobs' folders still have the results.
            for job in todo:
                found = inspect_folder(self.folder / job.folder)
                made = requests[job.number].made_from
                if found.done and found.wall_s is not None and made in (None, found.made_from):
                    jobs[job.number] = job.ended(found.wall_s)
            if not isinstance(error, Exception):
                raise
            if not isinstance(error, OSError):
                error = WorkerDiedError(f"{type(error).__name__}, {one_line(error)[:100]}")
            for job in todo:
                if jobs[job.number].status == "unfinished":
                    jobs[job.number] = job.ended(error)
        else:
            for job, returned in zip(todo, returns, strict=True):
                jobs[job.number] = job.ended(_result(returned))

    def _request(self, overrides: Sequence[str], number: int) -> FolderRequest:
        composed = self.compose(overrides, number)
        with _as_current(composed):
            name = str(composed.hydra.sweep.subdir)
        # Where nothing was done before, there is nothing to compare with.
        before = self._folders if self._folders is not None else self.folder.is_dir()
        return FolderRequest(name, self._made_from(composed) if before else None)

    def _made_from(self, composed: DictConfig) -> MadeFrom | None:
        try:
            settings = self.settings(composed)
            inputs = leaves(
                settings.inputs_spec,
                inputs=settings.inputs,
                count=settings.count,
                inputs_file=settings.inputs_file,
            )
            manifest = Manifest.load(settings.guests)
            guests = [manifest.get(name) for name in (*settings.journals, AGGREGATOR)]
            versions = load_prover(settings.prover).versions
            return made_from(settings.config, guests, inputs, versions)
        except RunnerError:
            return None  # the job itself will fail with this error


def _planned(number: int, overrides: Sequence[str], folder: AssignedFolder) -> SweepJob:
    job = SweepJob(number, folder.name, tuple(overrides))
    if folder.finished is None:
        return job
    return SweepJob(number, folder.name, job.overrides, "skipped", folder.finished.wall_s, 0)


def _result(returned: JobReturn) -> float | Exception:
    if returned.status is JobStatus.COMPLETED:
        return float(returned.return_value)
    with contextlib.redirect_stderr(io.StringIO()):  # Hydra prints a line of its own
        try:
            _ = returned.return_value
        except Exception as error:  # noqa: BLE001  # what the job raised
            return error
    return WorkerDiedError("the launcher gave no result")


def _subdir(folder: str) -> str:
    return f"hydra.sweep.subdir={QuotedString(folder, Quote.single).with_quotes()}"


def _stop_others() -> None:
    lifeline.stop_others(_PATIENCE_S)


@contextlib.contextmanager
def _as_current(composed: DictConfig) -> Iterator[None]:
    """Let Hydra's resolvers, such as ``${hydra:...}``, look into this config for a while."""
    setup_globals()
    current = HydraConfig.instance()
    around = current.cfg
    current.set_config(composed)
    try:
        yield
    finally:
        current.cfg = around


def say(line: str) -> None:
    """Print a line on standard error whatever the log level is, unless the sweep is to be quiet."""
    if not session.current().terminal.quiet:
        sys.stderr.write(f"{line}\n")
