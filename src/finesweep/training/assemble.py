"""From the components of a run to what its training works with: data read, model loaded, strategy applied."""

from dataclasses import dataclass
from functools import partial

from finesweep.data.module import DataModule
from finesweep.models.pretrained import Loaded
from finesweep.tasks.base import Examples
from finesweep.training.components import Components, encoded, frame_of, parameter_counts, read_data
from finesweep.training.encode_once import encode_once
from finesweep.training.module import FineTuner, seed_generators


@dataclass
class Assembled:
    """What a training works with."""

    examples: Examples
    loaded: Loaded
    tuner: FineTuner
    data: DataModule
    #: That the frozen part took to say what it has to say, once.
    encode_seconds: float

    @property
    def parameters(self) -> dict[str, int]:
        """``total`` and ``trainable`` numbers of parameters."""
        return parameter_counts(self.tuner.model)


def assemble(parts: Components) -> Assembled:
    """Read, load, apply, encode. The generators are seeded first: the head's weights depend on the seed alone.

    Raises:
        UserError: data or model are not what the configuration says.
    """
    examples = read_data(parts)
    seed_generators(parts.seed)
    loaded = parts.model.load(parts.task, examples.labels, parts.longest, parts.strategy.loading())
    model = parts.apply(loaded)
    features = encoded(parts, examples, loaded)
    task, source, trainer = parts.task, parts.data, parts.trainer
    frame = frame_of(parts, examples, loaded)
    data = DataModule(
        examples.splits,
        features,
        partial(task.collate, frame=frame),
        task.weight,
        batch_size=source.batch_size,
        eval_batch_size=source.eval_batch_size,
        max_batch_tokens=source.max_batch_tokens,
        accumulate=trainer.accumulate_grad_batches,
        seed=parts.seed,
        num_workers=source.num_workers,
    )
    once = encode_once(parts, loaded, model, features, frame)
    data.states.update(once.rows or {})
    tuner = FineTuner(
        model,
        task,
        parts.strategy,
        parts.optimizer,
        parts.schedule,
        frame=frame,
        total_steps=parts.total_steps(features["train"]),
        epochs=trainer.max_epochs,
        replay=once.replay,
        seed=parts.seed,
    )
    if once.why_not:
        examples.notes.append(once.why_not)
    return Assembled(examples, loaded, tuner, data, once.seconds)
