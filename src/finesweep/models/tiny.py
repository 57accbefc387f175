"""How the embedded tiny encoder's tokenizer is made: ``python -m finesweep.models.tiny FOLDER`` writes it anew."""

import sys
from pathlib import Path

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import BertConfig, PreTrainedTokenizerFast

from finesweep.data.demo import sentences
from finesweep.data.world import make_world

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
VOCABULARY = 2000
_START = "▁"


def build(folder: Path) -> None:
    """Train a cased WordPiece vocabulary on sentences about the known half of another world than the demo's."""
    world = make_world(seed=1)
    texts = [" ".join(row["tokens"]) for row in sentences(world, 8000, seed=1, unseen=0.0)]
    vocabulary = {piece: number for number, piece in enumerate(_word_pieces(texts))}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=False)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    cls, sep = SPECIAL.index("[CLS]"), SPECIAL.index("[SEP]")  # special tokens come first in the vocabulary
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", sep), ("[CLS]", cls))
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=512,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
    ).save_pretrained(folder)
    BertConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=256,
    ).save_pretrained(folder)


def _word_pieces(texts: list[str]) -> list[str]:
    """The vocabulary, the same each time: :class:`WordPieceTrainer` breaks ties between pieces at random.

    Byte-pair encoding does not. Words get a sign where they start, and the pieces without it become WordPiece's ``##``.
    """
    bpe = Tokenizer(models.BPE())
    start = pre_tokenizers.Metaspace(_START, prepend_scheme="always")
    bpe.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.BertPreTokenizer(), start])
    bpe.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=VOCABULARY, show_progress=False))
    numbers = bpe.get_vocab()
    learned = [piece for piece in sorted(numbers, key=numbers.__getitem__) if len(piece) > 1]
    # Every printable ASCII character is in, first in a word or not, so that no text of the demo's kind is unknown.
    alphabet = [chr(code) for code in range(33, 127)]
    pieces = [*SPECIAL, *alphabet, *(f"##{character}" for character in alphabet)]
    pieces += [piece.removeprefix(_START) if piece.startswith(_START) else f"##{piece}" for piece in learned]
    return list(dict.fromkeys(pieces))[:VOCABULARY]


if __name__ == "__main__":
    build(Path(sys.argv[1]))
