"""Compares scores for telling pictures of what the network does not know from photos of senders it has not seen.

Uses the first fold's network of a run, which has seen neither. Writes the figures into the run's folder.
"""

import argparse
import json
import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow's start-up notices, before it is imported

import numpy as np
import numpy.typing as npt
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import NearestNeighbors

from classifier.model import softmax
from training import network
from training.calibration import fit_temperature
from training.dataset import DatasetError, read_photos
from training.recipe import Recipe
from training.run import NOVELTY_FILE, RECORD_FILE, WEIGHTS_FILE, answered_photos, fold_name
from training.unfamiliar import unfamiliar_pictures

_KEPT = 0.95  # of the familiar photos; what is caught is told for the threshold that keeps these
_NEIGHBOURS = 10


def compare(run: Path, data: Path) -> dict[str, dict[str, dict[str, float]]]:
    """By kind of unfamiliar picture and by score: how well the score tells these from familiar photos.

    The scores are the largest probability, the energy (Liu et al. 2020) and the distance to the tenth of the nearest
    training photos in the space of normalised features (Sun et al. 2022). `auroc` is the chance that a familiar photo
    has the better score than an unfamiliar picture; `caught` is the share of the unfamiliar ones that miss the score
    which 95 % of the familiar ones reach.
    """
    record = json.loads((run / RECORD_FILE).read_text(encoding="utf-8"))
    recipe = Recipe.of(record["recipe"])
    model = network.load(run / fold_name(0) / WEIGHTS_FILE, len(record["labels"]), recipe)

    held_out, *others = (answered_photos(run / fold_name(fold), data) for fold in range(recipe.folds))
    learnt = network.features(model, read_photos([path for paths in others for path in paths], recipe.size))
    neighbours = NearestNeighbors(n_neighbors=min(_NEIGHBOURS, len(learnt))).fit(_directions(learnt))
    familiar = network.features(model, read_photos(held_out, recipe.size))
    targets = np.array([record["labels"].index(path.parent.name) for path in held_out])
    temperature = fit_temperature(network.head(model, familiar), targets)

    def scores(features: npt.NDArray[np.float32]) -> dict[str, npt.NDArray[np.float64]]:
        logits = network.head(model, features)
        return {
            "largest probability": softmax(logits / temperature).max(axis=1),
            "energy": np.logaddexp.reduce(logits, axis=1),
            "distance of features": -neighbours.kneighbors(_directions(features))[0][:, -1],
        }

    wanted = scores(familiar)
    return {
        kind: {
            name: _separation(wanted[name], unwanted)
            for name, unwanted in scores(network.features(model, pictures)).items()
        }
        for kind, pictures in unfamiliar_pictures(data, recipe.size).items()
    }


def _separation(familiar: npt.NDArray[np.float64], unfamiliar: npt.NDArray[np.float64]) -> dict[str, float]:
    known = np.repeat([1, 0], [len(familiar), len(unfamiliar)])
    return {
        "n": len(unfamiliar),
        "auroc": float(roc_auc_score(known, np.concatenate([familiar, unfamiliar]))),
        "caught": float((unfamiliar < np.quantile(familiar, 1 - _KEPT)).mean()),
    }


def _directions(features: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    directions: npt.NDArray[np.float32] = features / np.linalg.norm(features, axis=1, keepdims=True)
    return directions


def main() -> int:
    """Write and print the comparison."""
    parser = argparse.ArgumentParser(prog="python -m training.novelty", description=__doc__)
    parser.add_argument("--run", type=Path, required=True, help="folder that training.train wrote")
    parser.add_argument("--data", type=Path, required=True, help="the folder it was trained on, with unknown/, if any")
    arguments = parser.parse_args()
    try:
        found = compare(arguments.run, arguments.data)
    except (DatasetError, OSError) as error:
        print(f"novelty: {error}", file=sys.stderr)
        return 1
    (arguments.run / NOVELTY_FILE).write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    for kind, by_score in found.items():
        for name, figures in by_score.items():
            print(f"{kind}: {name}: AUROC {figures['auroc']:.3f}, {figures['caught']:.0%} caught")
    return 0


if __name__ == "__main__":
    sys.exit(main())
