"""What is trained on is what the files hold now, whatever a path, a size or a time may say."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from finesweep.training.assemble import assemble
from finesweep.training.components import Components, data_record

#: A file of each kind, and what of it is changed into something equally long.
FILES = {
    "conll": (
        "train.txt",
        "Anna B-PER\nmet O\nBonn B-LOC\n\nBonn B-LOC\nwon O\n\n",
        ("Bonn B-LOC\nwon", "Bonn B-ORG\nwon"),
    ),
    "tsv": ("train.tsv", "text\tlabel\ngood\tpos\nbad\tneg\nfine\tpos\n", ("fine\tpos", "fine\tneg")),
    "jsonl": (
        "train.jsonl",
        '{"text": "good", "label": "a"}\n{"text": "bad", "label": "b"}\n{"text": "fine", "label": "a"}\n',
        ('fine", "label": "a', 'fine", "label": "b'),
    ),
    "text": ("train.txt", "Anna met Bonn .\nBonn won .\n", ("Bonn won", "Anna won")),
    "hub": ("train.csv", "text,label\ngood,pos\nbad,neg\nfine,pos\n", ("fine,pos", "fine,neg")),
}
OPTIONS = {
    "conll": ["data=files", "task=token_classification"],
    "tsv": ["data=files", "task=text_classification"],
    "jsonl": ["data=files", "task=text_classification"],
    "text": ["model=tiny_causal", "data=files", "task=causal_lm"],
}


def change(file: Path, old: str, new: str) -> None:
    """Change a file in place, of which nobody can tell but by reading it."""
    before = file.stat()
    text = file.read_text()
    assert text.count(old) == 1
    file.write_text(text.replace(old, new))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = file.stat()
    assert (after.st_size, after.st_mtime_ns) == (before.st_size, before.st_mtime_ns)


def seen(values: dict[str, Any]) -> tuple[dict[str, Any], list[Any]]:
    """The record of the data, and what the model gets to see of it."""
    work = assemble(Components.of(values), {})
    features = [(f.input_ids, f.extra) for split in work.data.features.values() for f in split]
    return data_record(work.examples), features


@pytest.mark.parametrize("kind", FILES)
def test_one_change_is_seen_and_nothing_stale_is_used(
    kind: str, tmp_path: Path, composed: Callable[..., dict[str, Any]]
) -> None:
    name, text, (old, new) = FILES[kind]
    (tmp_path / "data").mkdir()
    file = tmp_path / "data" / name
    file.write_text(text)
    if kind == "hub":
        values = composed("data=conll2003", "task=text_classification", "data.task=text_classification")
        values["data"] |= {"path": str(file.parent), "config": None, "revision": None}
        values["data"] |= {"splits": {"train": "train", "validation": "train", "test": None}}
        values["data"] |= {key: "auto" for key in values["data"] if key.endswith("_column")} | {"label_names": []}
    else:
        (tmp_path / f"other-{name}").write_text(text)
        values = composed(*OPTIONS[kind], f"data.train={file}", f"data.validation={tmp_path / f'other-{name}'}")
        if "cache_dir" in values["task"]:
            values["task"]["cache_dir"] = str(tmp_path / "cache")
    before, features = seen(values)
    assert (before, features) == seen(values)
    change(file, old, new)
    after, others = seen(values)
    assert after["train"]["fingerprint"] != before["train"]["fingerprint"]
    assert others != features
    if kind != "hub":
        assert after["validation"] == before["validation"]
    change(file, new, old)
    assert seen(values) == (before, features)


def test_place_and_time_do_not_matter(tmp_path: Path, composed: Callable[..., dict[str, Any]]) -> None:
    name, text, _ = FILES["tsv"]
    records = []
    for number, time in enumerate((1_000_000_000, 2_000_000_000)):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / name).write_text(text)
        os.utime(folder / name, (time, time))
        both = [f"data.{split}={folder / name}" for split in ("train", "validation")]
        records.append(seen(composed(*OPTIONS["tsv"], *both))[0])
    assert records[0] == records[1]
