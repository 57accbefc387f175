"""The other side of the pipeline: a finished run of finesweep, loaded and asked as its README says."""

import argparse

from rows import tell_found

import finesweep


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", required=True, help="a run's folder")
    parser.add_argument("--rows", required=True, help='JSON lines: {"tokens": […]}')
    args = parser.parse_args()
    tagger = finesweep.load(args.run)
    tell_found(lambda texts: [said["entities"] for said in tagger.predict(texts)], args.rows)


if __name__ == "__main__":
    main()
