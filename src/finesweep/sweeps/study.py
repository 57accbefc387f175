"""The study behind a search, in a journal file or a database: every trial has a ticket, and one trial a result."""

import contextlib
import json
import os
import uuid
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from filelock import FileLock
from optuna import distributions
from optuna.distributions import BaseDistribution
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, NopPruner, SuccessiveHalvingPruner
from optuna.samplers import BaseSampler, CmaEsSampler, QMCSampler, RandomSampler, TPESampler
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import FrozenTrial, Trial, TrialState, create_trial

from finesweep.config.errors import UserError
from finesweep.config.secrets import redacted_text
from finesweep.results.files import write_atomically
from finesweep.sweeps.axes import Axis
from finesweep.sweeps.settings import Direction, Search

JOURNAL = "study.journal"
_TICKET, _STOPPED = "ticket", "stopped_after"


class Trials:
    """The trials of one search, as one sweeper sees them; others may work on the same study.

    Args:
        folder: of the sweep.
        searched: what is searched, which with ``rest`` makes the search what it is.
        directions: of the objectives.
        validations: that a run has at most, for Hyperband.

    Raises:
        UserError: the storage cannot be reached, or holds another search of that name.
    """

    def __init__(
        self, folder: Path, settings: Search, searched: Sequence[Axis], directions: Mapping[str, Direction],
        rest: Sequence[str], validations: int,
    ) -> None:  # fmt: skip
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
        self._settings, self._searched = settings, searched
        self._where = redacted_text(settings.storage) if settings.storage else str(folder / JOURNAL)
        spaces = [f"{axis.key}={distributions.distribution_to_json(axis.distribution)}" for axis in searched]
        text = json.dumps([sorted(spaces), list(directions.items()), sorted(rest)])
        #: Of what is searched: another space is another study.
        self.hash = sha256(text.encode()).hexdigest()[:8]
        with self._reachable(), FileLock(folder / ".study.lock"):  # two that make the same tables get in their way
            identity = _identity(folder, self._where)
            name = settings.study_name or f"finesweep-{identity[:8]}-{self.hash}"
            self._storage = _storage(folder, settings)
            self._study = optuna.create_study(
                storage=self._storage, study_name=name, load_if_exists=True, directions=list(directions.values()),
                pruner=_pruner(settings, validations), sampler=RandomSampler(),
            )  # fmt: skip
            mine = {"sweep": identity, "search": self.hash}
            theirs = self._study.user_attrs.get("finesweep")
            foreign = theirs is None and self._study.get_trials(deepcopy=False)
            turned = [each.name.lower() for each in self._study.directions] != list(directions.values())
            if foreign or turned or theirs not in (None, mine):
                raise UserError(
                    f"the study '{name}' belongs to another search", where=self._where,
                    remedy="give this one a name of its own: hydra.sweeper.study_name=…",
                )  # fmt: skip
            self._study.set_user_attr("finesweep", mine)
            if self._study.metric_names is None:
                self._study.set_metric_names(list(directions))
            self._id = self._storage.get_study_id_from_name(name)

    def newest(self) -> dict[int, FrozenTrial]:
        """The newest trial of each ticket."""
        with self._reachable():
            every = self._study.get_trials(deepcopy=False)
        return {each.user_attrs[_TICKET]: each for each in every if _TICKET in each.user_attrs}

    def take(self, ticket: int, found: FrozenTrial | None, fixed: Mapping[Axis, Any]) -> Trial:
        """The trial of a ticket, to be worked on.

        Args:
            found: the newest there is. One that is not over goes on; of one that has failed the same is done again.
            fixed: values that a first one takes instead of what the sampler would propose.
        """
        params = {axis.key: value for axis, value in fixed.items()}
        spaces = {axis.key: axis.distribution for axis in fixed}
        with self._reachable():
            self._study.sampler = _Steady(self._settings, ticket, self._searched)
            if found is not None and not found.state.is_finished():
                return Trial(self._study, self._storage.get_trial_id_from_study_id_trial_number(self._id, found.number))
            new = create_trial(
                state=TrialState.RUNNING, user_attrs={_TICKET: ticket}, params=found.params if found else params,
                distributions=found.distributions if found else spaces,
            )  # fmt: skip
            return Trial(self._study, self._storage.create_new_trial(self._id, new))

    def values(self, trial: Trial) -> dict[Axis, Any]:
        """What the sampler proposes, or proposed when the trial began."""
        with self._reachable():
            return {axis: _suggested(trial, axis) for axis in self._searched}

    def note(self, trial: Trial, key: str, value: Any) -> None:
        """Write something beside a trial, for whoever looks at the study."""
        with self._reachable():
            trial.set_user_attr(key, value)

    def report(self, trial: Trial, number: int, value: float) -> bool:
        """Tell the objective after a validation; whether the trial is worth going on with."""
        with self._reachable(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it was reported before the run was stopped and went on
            trial.report(value, number)
            go_on = not trial.should_prune()
            # A pruner that is asked again has forgotten it. So has one whose driver was killed before the next line.
            if not go_on:
                trial.set_user_attr(_STOPPED, number)
            return go_on

    def stopped(self, trial: Trial) -> int | None:
        """The validation after which a trial was not worth going on with, if there was one."""
        with self._reachable():
            number: int | None = trial.user_attrs.get(_STOPPED)
            return number

    def tell(self, trial: Trial, state: TrialState, values: Sequence[float] | None = None) -> None:
        """A trial is over, unless another sweeper has said so already."""
        with self._reachable(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that another sweeper has
            self._study.tell(trial, values, None if values is not None else state, skip_if_finished=True)

    @contextmanager
    def _reachable(self) -> Iterator[None]:
        from sqlalchemy.exc import SQLAlchemyError

        try:
            yield
        except (SQLAlchemyError, optuna.exceptions.StorageInternalError, OSError) as error:
            cause = error.__cause__ if isinstance(error, optuna.exceptions.StorageInternalError) else error
            raise _unusable(self._where, cause or error) from error


def _unusable(where: str, error: BaseException) -> UserError:
    what = redacted_text(str(error)).strip().partition("\n")[0]
    return UserError(
        f"the study cannot be used: {what}", where=where,
        remedy="is the server there, the URL of hydra.sweeper.storage right, its driver installed "
        "(finesweep[postgresql], finesweep[mysql])? The same command then goes on",
    )  # fmt: skip


def _suggested(trial: Trial, axis: Axis) -> Any:
    match axis.distribution:
        case distributions.IntDistribution(low=low, high=high, step=step, log=log):
            return trial.suggest_int(axis.key, low, high, step=step, log=log)
        case distributions.FloatDistribution(low=low, high=high, step=step, log=log):
            return trial.suggest_float(axis.key, low, high, step=step, log=log)
        case distributions.CategoricalDistribution(choices=choices):
            return trial.suggest_categorical(axis.key, choices)
    raise AssertionError(axis.distribution)


def _storage(folder: Path, settings: Search) -> BaseStorage:
    try:
        if settings.storage is None:
            file = str(folder / JOURNAL)
            return JournalStorage(JournalFileBackend(file, lock_obj=_JournalLock(file)))
        return optuna.storages.get_storage(RDBStorage(settings.storage, engine_kwargs={"pool_pre_ping": True}))
    except (ValueError, ImportError) as error:  # a damaged journal, no URL, no driver
        raise _unusable(redacted_text(settings.storage or str(folder / JOURNAL)), error) from error


class _JournalLock(JournalFileOpenLock):
    """A lock that the operating system gives back when its process dies, and that finds whole lines only."""

    def __init__(self, journal: str) -> None:
        super().__init__(journal)
        self._journal, self._lock = journal, FileLock(f"{journal}.lock")

    def acquire(self) -> bool:
        self._lock.acquire()
        with contextlib.suppress(FileNotFoundError), Path(self._journal).open("rb+") as stream:
            end = stream.seek(0, os.SEEK_END)
            stream.seek(max(0, end - 2**16))
            tail = stream.read()
            if tail and not tail.endswith(b"\n"):  # cut short by a power cut
                stream.truncate(end - len(tail) + tail.rfind(b"\n") + 1)
        return True

    def release(self) -> None:
        self._lock.release()


def _identity(folder: Path, where: str) -> str:
    """Of a sweep's folder, wherever it is moved to: two folders do not share a study by mistake."""
    file = folder / "study.json"
    if not file.is_file():
        write_atomically(file, json.dumps({"id": uuid.uuid4().hex}) + "\n")
    try:
        return str(json.loads(file.read_text(encoding="utf-8"))["id"])
    except (ValueError, KeyError, TypeError) as error:
        raise _unusable(where, error) from error


def _pruner(settings: Search, validations: int) -> BasePruner:
    least, factor = settings.min_validations, settings.reduction_factor
    match settings.pruner:
        case "asha":  # Li et al. 2020, https://arxiv.org/abs/1810.05934
            return SuccessiveHalvingPruner(min_resource=least, reduction_factor=factor)
        case "hyperband":  # Li et al. 2018, https://jmlr.org/papers/v18/16-558.html
            return HyperbandPruner(least, max(least, validations), factor)
        case "median":  # Golovin et al. 2017, https://doi.org/10.1145/3097983.3098043
            return MedianPruner(n_warmup_steps=least)
    return NopPruner()


class _Steady(BaseSampler):
    """The sampler of one ticket: a search that was killed proposes what it would have proposed.

    It is made anew for each ticket, and for each parameter that it draws by itself, with a seed by ticket and name: a
    kill may have come between two parameters of a trial.
    """

    def __init__(self, settings: Search, ticket: int, searched: Sequence[Axis]) -> None:
        self._settings, self._ticket = settings, ticket
        self._spaces = {axis.key: axis.distribution for axis in searched}
        self._all = self._made("")

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return self._all.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return self._all.sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        return self._made(param_name).sample_independent(study, trial, param_name, param_distribution)

    def _made(self, name: str) -> BaseSampler:
        settings = self._settings
        words = [settings.sampler_seed, self._ticket, *name.encode()]
        seed = int(np.random.SeedSequence(words).generate_state(1)[0])
        at_random = RandomSampler(seed)
        match settings.sampler:
            case "tpe":
                return TPESampler(n_startup_trials=settings.startup_trials, seed=seed, multivariate=True, group=True)
            case "cmaes":
                return CmaEsSampler(
                    n_startup_trials=max(1, settings.startup_trials), independent_sampler=at_random, seed=seed,
                    warn_independent_sampling=False,
                )  # fmt: skip
            case "qmc":
                return _Sobol(settings.sampler_seed, self._ticket, self._spaces, at_random)
        return at_random


class _Sobol(QMCSampler):
    """The point of a ticket in one sequence; Optuna takes the next one each time that a trial is looked at."""

    def __init__(self, seed: int, ticket: int, spaces: dict[str, BaseDistribution], at_random: BaseSampler) -> None:
        super().__init__(scramble=True, seed=seed, independent_sampler=at_random, warn_independent_sampling=False)
        self._ticket, self._spaces = ticket, spaces

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        del study, trial
        return self._spaces

    def _find_sample_id(self, study: optuna.Study, search_space: dict[str, BaseDistribution]) -> int:
        del study, search_space
        return self._ticket
