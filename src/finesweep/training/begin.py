"""How a run begins, or goes on where it stopped: its record, and the checkpoint that it may go on from."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from finesweep.config.errors import ChangedError, UserError
from finesweep.config.identity import config_hash, differences, effective
from finesweep.config.secrets import redacted, redacted_text
from finesweep.results.environment import changed_code, git_state, source_state, uncommitted
from finesweep.results.files import write_atomically
from finesweep.results.lock import this_process
from finesweep.results.record import FILE, FORMAT, RunRecord, now
from finesweep.training.checkpoint import Checkpoints

if TYPE_CHECKING:
    import torch


def begin(
    folder: Path,
    values: dict[str, Any],
    command: str,
    overrides: Sequence[str],
    *,
    sweep: str | None = None,
    like: RunRecord | None = None,
) -> RunRecord:
    """The record of a run that begins or goes on; what another or a finished run has written stays untouched."""
    if (folder / FILE).is_file():
        record = RunRecord.read(folder)
        remedy = "choose another folder with hydra.run.dir, or remove this one"
        if record.config_hash != config_hash(values):
            changed = differences(effective(record.config), effective(values)) if record.config else []
            lines = "".join(f"\n     {line}" for line in changed)
            message = f"the folder holds a run of another configuration{lines}"
            raise UserError(message, where=str(folder), remedy=remedy)
        if record.status == "ok":
            raise UserError("the folder holds this run already, status ok", where=str(folder), remedy=remedy)
        record.resumed.append({"at": now()})
        record.status, record.error, record.finished = "running", None, None
        if record.format < FORMAT:
            record.format, record.cwd = FORMAT, str(Path.cwd())
        record.config = values  # keys that change no result may be others now
    else:
        asked = (redacted_text(command), [redacted_text(text) for text in overrides])
        record = RunRecord(folder, values["name"], values["seed"], config_hash(values), *asked)
        record.config, record.sweep, record.cwd = values, sweep, str(Path.cwd())
        if like is not None:
            threads = like.environment.get("threads")
            record.reproduces = {"run": str(like.folder), "threads": threads, "batch": like.batch}
        record.git = git_state(Path.cwd(), but=folder)
        source = source_state()
        if source is not None and source["commit"] != record.git["commit"]:
            record.git["finesweep"] = source
        if record.git.get("diff"):
            write_atomically(folder / "uncommitted.diff", uncommitted(Path.cwd()))
    record.process = this_process()
    write_atomically(folder / "config.yaml", yaml.safe_dump(redacted(values), sort_keys=False, allow_unicode=True))
    record.write()
    return record


def latest_state(
    checkpoints: Checkpoints, identity: dict[str, Any], record: RunRecord, here: dict[str, Any]
) -> tuple[tuple[dict[str, "torch.Tensor"], dict[str, Any]] | None, list[str]]:
    """The newest good checkpoint of a run that goes on, if it has any, and what the user should know of it.

    Raises:
        ChangedError: it was made with other data or another base model.
    """
    latest = checkpoints.latest()
    step, notes, found = 0, [f"{record.folder} begins again: it was stopped before its first checkpoint"], None
    if latest is not None:
        tensors, state, problems = latest
        if changed := differences(state["identity"], identity):
            raise ChangedError(
                "the run cannot go on, for since its checkpoint there has changed\n     " + "\n     ".join(changed),
                where=str(record.folder),
                remedy="restore what it was, or start a new run in another folder",
            )
        step, found = state["step"], (tensors, state)
        notes = [f"{problem}; an older one is used" for problem in problems]
        notes.append(f"{record.folder} goes on after {'its last step' if state['trained'] else f'step {step}'}")
    differs = differences(record.environment, here) + changed_code(record.git, Path.cwd())
    record.resumed[-1] |= {"step": step, "differs": differs}
    notes += [f"the last digits may differ from what they would have been: {line}" for line in differs]
    return found, notes
