"""Pictures for reports: learning curves and the confusion matrix, as PNG files without a screen."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

#: Okabe and Ito's colours, which people with colour blindness can tell apart.
BLUE, ORANGE, GREEN = "#0072B2", "#D55E00", "#009E73"
#: Inches of a confusion matrix at most, and how many labels have a name there at most.
_LARGEST, _NAMED = 20.0, 60


def learning_curve(rows: Mapping[int, Mapping[str, float]], metric: str, best_step: int, path: Path) -> None:
    """Loss of training and validation, and beside it the objective, over optimizer steps.

    Args:
        rows: step -> logged values (``train/loss``, ``val/loss``, ``val/<metric>``).
        best_step: where the weights that were kept come from.
    """
    # To find out what room everything takes is half of the time that a picture takes, and known here.
    figure, (left, right) = _subplots(2, (9.0, 3.4), layout=None)
    figure.subplots_adjust(left=0.07, right=0.98, bottom=0.16, top=0.9, wspace=0.2)
    for axis, key, colour, label in (
        (left, "train/loss", BLUE, "training"),
        (left, "val/loss", ORANGE, "validation"),
        (right, f"val/{metric}", GREEN, "validation"),
    ):
        points = [(step, row[key]) for step, row in sorted(rows.items()) if key in row]
        if points:
            steps, values = zip(*points, strict=True)
            marker = "o" if len(points) <= 20 else None
            axis.plot(steps, values, color=colour, label=label, marker=marker, markersize=4, linewidth=1.6)
    for axis, title in ((left, "loss"), (right, metric)):
        axis.axvline(best_step, color="0.6", linestyle=":", linewidth=1, label="weights kept")
        axis.set_xlabel("optimizer step")
        axis.set_title(title)
        axis.grid(alpha=0.25)
        axis.legend(frameon=False)
    _save(figure, path)


def confusion_matrix(labels: Sequence[str], counts: Sequence[Sequence[int]], path: Path) -> None:
    """Gold labels down, predicted ones across; colour is the share of a gold label's words, the number their count."""
    import numpy as np

    table = np.asarray(counts, dtype=float)
    totals = table.sum(axis=1, keepdims=True)
    shares = np.divide(table, totals, out=np.zeros_like(table), where=totals > 0)
    side = min(max(4.0, 0.55 * len(labels) + 1.8), _LARGEST)
    figure, (axis,) = _subplots(1, (side, side))
    axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    named = range(0, len(labels), 1 + len(labels) // _NAMED)  # of very many labels only some have room for a name
    axis.set_xticks(named, [labels[i] for i in named], rotation=60, ha="right", rotation_mode="anchor")
    axis.set_yticks(named, [labels[i] for i in named])
    axis.set_xlabel("predicted")
    axis.set_ylabel("gold")
    if len(labels) <= 30:
        for (i, j), count in np.ndenumerate(table):
            if count:
                colour = "white" if shares[i, j] > 0.55 else "0.15"
                number = axis.text(j, i, f"{int(count)}", ha="center", va="center", fontsize=7, color=colour)
                number.set_in_layout(False)
    _save(figure, path)


def data_figure(
    lengths: Mapping[str, Sequence[int]], limit: int, classes: Mapping[str, Mapping[str, int]], path: Path
) -> None:
    """How long the rows of each split are, and beside it the share of each class.

    Args:
        lengths: split -> sub-words of each row.
        limit: the length that the model is given at most.
        classes: split -> rows of each class; nothing is drawn beside where there are none.
    """
    import numpy as np

    names = list(dict.fromkeys(name for counts in classes.values() for name in counts))
    figure, axes = _subplots(2 if names else 1, (9.0 if names else 5.0, max(3.4, 0.22 * len(names) + 1.2)))
    longest = max(max(values) for values in lengths.values())
    edges = np.linspace(0, longest + 1, 41)
    for (split, values), colour in zip(lengths.items(), (BLUE, ORANGE, GREEN), strict=False):
        weights = np.full(len(values), 1 / len(values))
        axes[0].hist(values, bins=edges, weights=weights, histtype="step", color=colour, label=split, linewidth=1.6)
    if limit <= longest:
        axes[0].axvline(limit, color="0.6", linestyle=":", linewidth=1, label="data.max_length")
    axes[0].set_xlabel("sub-words")
    axes[0].set_title("share of rows by length")
    axes[0].legend(frameon=False)
    if names:
        height = 0.8 / len(classes)
        for place, ((split, counts), colour) in enumerate(zip(classes.items(), (BLUE, ORANGE, GREEN), strict=False)):
            total = max(1, sum(counts.values()))
            shares = [counts.get(name, 0) / total for name in names]
            rows = [i + (place - (len(classes) - 1) / 2) * height for i in range(len(names))]
            axes[1].barh(rows, shares, height=height, color=colour, label=split)
        axes[1].set_yticks(range(len(names)), names)
        axes[1].invert_yaxis()
        axes[1].set_title("share of each class")
    _save(figure, path)


def _subplots(count: int, size: tuple[float, float], layout: Any = "constrained") -> tuple[Any, Sequence[Any]]:
    """A figure without pyplot, which would ask for a screen and keep every figure alive."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, dpi=150, layout=layout)
    FigureCanvasAgg(figure)
    return figure, [figure.add_subplot(1, count, i + 1) for i in range(count)]


def _save(figure: Any, path: Path) -> None:
    """What ``savefig`` does, but drawn once: of a small run the pictures are half the time."""
    from matplotlib.image import imsave

    path.parent.mkdir(parents=True, exist_ok=True)
    figure.canvas.draw()
    imsave(path, figure.canvas.buffer_rgba())
