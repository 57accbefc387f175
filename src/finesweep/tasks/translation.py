"""Translation: a sentence in another language, scored by BLEU and chrF."""

from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from finesweep.config.errors import UserError, did_you_mean
from finesweep.config.fields import component
from finesweep.results.tables import ReportTable, Scores
from finesweep.tasks.base import Feature, Frame, Row
from finesweep.tasks.text_to_text import TextToText

if TYPE_CHECKING:
    from finesweep.results.significance import Tally


@component
class Translation(TextToText):
    """Scored by sacreBLEU (Post 2018, https://aclanthology.org/W18-6319), from 0 to 100 as is usual for these two.

    Attributes:
        source_language, target_language: codes for tokenizers that know several (``de_DE``, ``deu_Latn``); null for
            those that do not.
        tokenize: how sacreBLEU parts words: ``13a``, ``zh``, ``ja-mecab``, ``char``, …
    """

    source_language: str | None
    target_language: str | None
    tokenize: Literal["13a", "intl", "zh", "char", "none", "ja-mecab", "ko-mecab"]

    metric_names: ClassVar[tuple[str, ...]] = ("loss", "bleu", "chrf")

    def problems(self, cfg: dict[str, Any]) -> Iterator[tuple[str, str]]:
        yield from super().problems(cfg)
        module = {"ja-mecab": "MeCab", "ko-mecab": "mecab_ko"}.get(self.tokenize)
        if module is not None and find_spec(module) is None:
            yield "task.tokenize", f"{self.tokenize} needs a package: pip install 'sacrebleu[{self.tokenize[:2]}]'"

    def encode(self, rows: Sequence[Row], frame: Frame) -> list[Feature]:
        languages = {"source_language": self.source_language, "target_language": self.target_language}
        for (key, code), attribute in zip(languages.items(), ("src_lang", "tgt_lang"), strict=True):
            if code is None:
                continue
            if not hasattr(frame.tokenizer, attribute):
                raise UserError("the model's tokenizer knows no languages", where=f"task.{key}", remedy="use null")
            if _language_id(frame.tokenizer, code) is None:
                known = [token for token in frame.tokenizer.get_added_vocab() if token[:1].isalpha()]
                hint = did_you_mean(code, known, otherwise=f" It knows {', '.join(known)}." if known else "")
                raise UserError(f"the model's tokenizer knows no language '{code}'.{hint}", where=f"task.{key}")
            setattr(frame.tokenizer, attribute, code)
        return super().encode(rows, frame)

    def writing(self, frame: Frame) -> dict[str, Any]:
        if self.target_language is None:
            return {}
        language = _language_id(frame.tokenizer, self.target_language)
        # mBART's first models begin with what their targets end with: the language. All others write it first.
        ends = frame.tokenizer(text_target="a")["input_ids"][-1] == language
        return {"decoder_start_token_id" if ends else "forced_bos_token_id": language}

    def score(self, rows: Sequence[Row], predictions: Sequence[Row], loss: float) -> Scores:
        texts = [row["prediction"] for row in predictions]
        references = [[row["target"] for row in rows]]
        bleu, chrf = self._measures()
        scores = {"bleu": bleu.corpus_score(texts, references), "chrf": chrf.corpus_score(texts, references)}
        note = f"sacreBLEU: {bleu.get_signature()}; chrF: {chrf.get_signature()}"
        if sum(text.endswith(" .") for text in references[0]) > len(rows) / 2:
            note += ". The references are tokenized: the figures cannot be compared with those of plain text."
        table = ReportTable(
            "Translations", note, ["measure", "score"], [[name, round(s.score, 2)] for name, s in scores.items()]
        )
        return Scores({name: float(score.score) for name, score in scores.items()}, [table])

    def tally(
        self, metric: str, rows: Sequence[Row], predictions: Sequence[Row], labels: Sequence[str]
    ) -> "Tally | None":
        if metric not in ("bleu", "chrf"):
            return None
        import numpy as np

        from finesweep.results.significance import Tally

        measure: Any = self._measures()[metric == "chrf"]
        texts, references = [row["prediction"] for row in predictions], [row["target"] for row in rows]

        def value(sums: np.ndarray) -> np.ndarray:
            return np.apply_along_axis(lambda each: measure._compute_score_from_stats(each.tolist()).score, -1, sums)

        # As sacreBLEU's own tests of significance do: the counts of each sentence, and a score of their sum.
        return Tally(np.asarray(measure._extract_corpus_statistics(texts, [references]), dtype=float), value)

    def _measures(self) -> tuple[Any, Any]:
        from sacrebleu.metrics import BLEU, CHRF  # takes a moment, and nothing else needs it

        return BLEU(tokenize=self.tokenize, force=True), CHRF()  # forced not to warn at every validation


def _language_id(tokenizer: Any, code: str) -> int | None:
    """The token of a language; None where the tokenizer has none."""
    if hasattr(tokenizer, "get_lang_id"):  # M2M100 writes its codes otherwise (__de__)
        try:
            return int(tokenizer.get_lang_id(code))
        except KeyError:
            return None
    found: int | None = tokenizer.get_added_vocab().get(code)
    return found
