"""The pipeline of transformers for token classification with its defaults, called on a list of texts."""

import argparse
from functools import partial

from rows import tell_found
from transformers import pipeline


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True, help="a folder with a fine-tuned model")
    parser.add_argument("--rows", required=True, help='JSON lines: {"tokens": […]}')
    parser.add_argument("--batch-size", type=int)
    args = parser.parse_args()
    tagger = pipeline("token-classification", model=args.model, aggregation_strategy="simple")
    tell_found(partial(tagger, batch_size=args.batch_size) if args.batch_size else tagger, args.rows)


if __name__ == "__main__":
    main()
