"""A word in a list is the same to a tokenizer as the same word in a text, for every kind of tokenizer."""

from pathlib import Path
from typing import Any

import pytest

from finesweep.config.errors import UserError
from finesweep.models.tokenizer import check_tokenizer

TEXTS = ["the cat sat on the mat and the dog sat on the cat"] * 20
SPECIAL = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
NAMES = {"cls_token": "<s>", "pad_token": "<pad>", "sep_token": "</s>", "unk_token": "<unk>", "mask_token": "<mask>"}


def byte_level(kind: str, folder: Path) -> None:
    """A byte-level BPE whose pre-tokenizer is one step, or a sequence that ends in it (Llama 3's and EuroBERT's)."""
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    one = pre_tokenizers.ByteLevel(add_prefix_space=False)
    split = pre_tokenizers.Split(Regex(r" ?\w+| ?[^\w\s]+"), "isolated")
    several = pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = several if kind == "sequence" else one
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(TEXTS, trainers.BpeTrainer(special_tokens=SPECIAL, initial_alphabet=alphabet))
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **NAMES).save_pretrained(folder)
    if kind == "roberta":
        file = folder / "tokenizer_config.json"
        file.write_text(file.read_text().replace("TokenizersBackend", "RobertaTokenizer"))


def sentence_piece(kind: str, folder: Path) -> None:
    from transformers import DebertaV2Tokenizer, XLMRobertaTokenizer

    pieces = [(f"▁{word}", -1.0) for word in "the cat sat on mat and dog".split()] + [(c, -5.0) for c in "▁thecasonmdg"]
    if kind == "deberta":
        special = [(name, 0.0) for name in ("[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]")]
        DebertaV2Tokenizer(vocab=[*special, *pieces], unk_id=3).save_pretrained(folder)
    else:
        XLMRobertaTokenizer(vocab=[*((name, 0.0) for name in SPECIAL), *pieces]).save_pretrained(folder)


KINDS = {
    "roberta": byte_level, "modernbert": byte_level, "sequence": byte_level,
    "deberta": sentence_piece, "xlm-roberta": sentence_piece,
}  # fmt: skip


def pieces(tokenizer: Any, words: Any, **options: Any) -> list[str]:
    return list(tokenizer.convert_ids_to_tokens(tokenizer(words, add_special_tokens=False, **options)["input_ids"]))


@pytest.mark.parametrize("kind", KINDS)
def test_words_in_a_list_are_words_in_a_text(load, copy, tmp_path, kind):
    from transformers import AutoTokenizer

    folder = copy("modernbert" if kind == "modernbert" else "bert")
    for file in folder.glob("tokenizer*"):
        file.unlink()
    KINDS[kind](kind, folder)
    for name in ("first", "second"):  # the second is loaded from what the first saved, as a further fine-tuning does
        tokenizer = load(folder).tokenizer
        blank = "▁" if KINDS[kind] is sentence_piece else "Ġ"
        expected = [f"{blank}{word}" for word in ("the", "cat", "sat")]
        assert pieces(tokenizer, ["the", "cat", "sat"], is_split_into_words=True) == expected
        assert pieces(tokenizer, "the cat sat") == expected
        # The saved tokenizer does the same without being told.
        tokenizer.save_pretrained(tmp_path / name)
        saved = AutoTokenizer.from_pretrained(tmp_path / name)
        assert pieces(saved, ["the", "cat", "sat"], is_split_into_words=True) == expected
        tokenizer.save_pretrained(folder)


def test_the_sub_words_of_a_word_belong_to_it(load, copy):
    folder = copy("modernbert")
    for file in folder.glob("tokenizer*"):
        file.unlink()
    byte_level("sequence", folder)
    tokenizer = load(folder).tokenizer
    encoding = tokenizer([["the", "xyz", "cat"]], is_split_into_words=True, add_special_tokens=False).encodings[0]
    assert encoding.word_ids == [0, 1, 1, 1, 1, 2]
    assert encoding.tokens == ["Ġthe", "Ġ", "x", "y", "z", "Ġcat"]


def test_a_fast_tokenizer_is_asked_for_where_places_in_a_text_matter():
    from transformers import ByT5Tokenizer

    check_tokenizer(ByT5Tokenizer(), "here", fast=False, pad_with_end=False)
    with pytest.raises(UserError, match="no fast version, which tells where in a text a sub-word stands"):
        check_tokenizer(ByT5Tokenizer(), "here", fast=True, pad_with_end=False)
