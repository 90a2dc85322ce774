"""Evaluates a model on a folder of label folders: prints its metrics as JSON, and can write a report."""

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from classifier.model import Model
from evaluation.dataset import DatasetError, read_split
from evaluation.predictions import evaluate
from evaluation.report import write_report


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m evaluation.evaluate", description=__doc__)
    parser.add_argument("--model", type=Path, default=Path("model"), help="folder of the model (default: model)")
    parser.add_argument("--data", type=Path, required=True, help="folder of label folders")
    parser.add_argument("--report", type=Path, help="folder to write a page with plots to")
    arguments = parser.parse_args()
    try:
        model = Model.load(arguments.model)
        split = read_split(arguments.data, model.description.input_size, model.description.labels)
    except (DatasetError, OSError) as error:
        print(f"evaluate: {error}", file=sys.stderr)
        return 1
    evaluation = evaluate(model, split)
    print(json.dumps(asdict(evaluation.metrics()), indent=2))
    if arguments.report:
        write_report(arguments.report, f"{model.description.version} on {arguments.data.name}", evaluation)
    return 0


if __name__ == "__main__":
    sys.exit(main())
