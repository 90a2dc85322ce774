"""Fits a network: the linear probe, and fine-tuning, on the labels or on the answers of teachers."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from training.augment import Examples, TrainingBatches, make_pictures
from training.network import Head
from training.recipe import Phase, Recipe

_CHECKPOINT_STEPS = 200
_PROBE_ITERATIONS = 300


def fit_probe(features: npt.NDArray[np.float32], targets: npt.NDArray[np.int64], labels: int, recipe: Recipe) -> Head:
    """Fit the head to features of shape (n, features) and the indexes of their labels, of shape (n,).

    It is trained as if all labels were equally frequent. A label without photos gets a very low logit.
    """
    regression = make_pipeline(
        StandardScaler(), LogisticRegression(C=recipe.probe_c, class_weight="balanced", max_iter=_PROBE_ITERATIONS)
    ).fit(features, targets)
    scaler, classifier = regression[0], regression[1]
    kernel, bias = classifier.coef_.T, classifier.intercept_
    if kernel.shape[1] == 1:  # of two labels, scikit-learn keeps only the difference
        kernel, bias = np.concatenate([-kernel / 2, kernel / 2], axis=1), np.concatenate([-bias / 2, bias / 2])
    kernel = kernel / scaler.scale_[:, np.newaxis]
    head = Head(np.zeros((len(kernel), labels), np.float32), np.full(labels, bias.min() - 10, np.float32))
    head.kernel[:, classifier.classes_] = kernel
    head.bias[classifier.classes_] = bias - scaler.mean_ @ kernel
    return head


class Tuner:
    """Fine-tunes networks of one architecture, one after another, so that a compiling backend compiles only once.

    `network` has the initial weights before `tune`, and the trained ones after it.
    """

    def __init__(
        self, network: keras.Model, recipe: Recipe, phases: Sequence[Phase], teachers: Sequence[keras.Model] = ()
    ) -> None:
        self.network = network
        self.teachers = teachers
        self._recipe = recipe
        self._phases = phases
        self._training = Training(network, recipe, teachers)
        self._optimizer = _make_optimizer(recipe, sum(phase.steps for phase in phases))
        self._training.compile(self._optimizer)
        # Otherwise Keras makes its variables inside the graph, with a branch for each, and TensorFlow never frees it.
        self._optimizer.build(network.trainable_variables)
        self._initial = [variable.numpy() for variable in self._optimizer.variables]

    def tune(self, examples: Examples, seed: int, checkpoint: Path, report: Callable[[int, float], None]) -> None:
        """Train through all phases, and set the network's weights to their moving average.

        Writes checkpoints into the folder `checkpoint`, and resumes from one there. Calls `report` with the number of
        steps that are done and the mean loss of the last of them.
        """
        for variable, value in zip(self._optimizer.variables, self._initial, strict=True):
            variable.assign(value)
        self._training.set_frequencies(examples.targets)
        keras.utils.set_random_seed(seed)
        done = self._restore(checkpoint)
        end = 0
        for phase in self._phases:
            end += phase.steps
            while done < end:
                steps = min(_CHECKPOINT_STEPS, end - done)
                batches = TrainingBatches(examples, phase.size, range(done, done + steps), self._recipe, seed)
                history = self._training.fit(batches, shuffle=False, verbose=0)  # the batches are shuffled already
                done += steps
                self._save(checkpoint, done)
                report(done, history.history["loss"][-1])
        self._optimizer.load_average(self.network.trainable_variables)

    def _save(self, checkpoint: Path, done: int) -> None:
        checkpoint.mkdir(parents=True, exist_ok=True)
        written = checkpoint / f"{done}.weights.h5"
        self._training.save_weights(checkpoint / "new.weights.h5")
        (checkpoint / "new.weights.h5").replace(written)
        for older in checkpoint.glob("*.weights.h5"):
            if older != written:
                older.unlink()

    def _restore(self, checkpoint: Path) -> int:
        """Load the last checkpoint, if any, and return the number of steps that were done."""
        files = {int(file.name.split(".")[0]): file for file in checkpoint.glob("[0-9]*.weights.h5")}
        if files:
            self._training.load_weights(files[max(files)])
        return max(files, default=0)


class Training(keras.Model):  # type: ignore[misc] # Keras has no types
    """A network with the augmentation before it and the loss after it.

    With teachers, the loss is the cross-entropy to the softmax of the mean of their logits.
    """

    def __init__(self, network: keras.Model, recipe: Recipe, teachers: Sequence[keras.Model]) -> None:
        super().__init__()
        self.built = True  # its parts are
        self.network = network
        self.teachers = list(teachers)
        for teacher in self.teachers:
            teacher.trainable = False
        self._recipe = recipe
        labels = network.output["logits"].shape[-1]
        self.adjustment = self.add_weight(shape=(labels,), initializer="zeros", trainable=False, name="adjustment")

    def set_frequencies(self, targets: npt.NDArray[np.float32]) -> None:
        """Set the labels' frequencies, which training removes from the logits (Menon et al. 2021)."""
        frequencies = (targets.sum(axis=0) + 1) / (len(targets) + targets.shape[1])  # + 1: no logarithm of 0
        self.adjustment.assign(self._recipe.class_balance * np.log(frequencies))

    def call(self, batch: dict[str, Any], training: bool | None = None) -> dict[str, Any]:  # noqa: FBT001 - Keras's signature
        """Return the `logits` of the augmented pictures and, with teachers, the mean of theirs; Keras calls this."""
        pictures = make_pictures(batch)
        answers = {"logits": self.network(pictures, training=training)["logits"]}
        if self.teachers:
            taught = [teacher(pictures, training=False)["logits"] for teacher in self.teachers]
            answers["teachers"] = keras.ops.stop_gradient(sum(taught) / len(taught))
        return answers

    def compute_loss(self, x: Any = None, y: Any = None, y_pred: Any = None, *_: Any, **__: Any) -> Any:
        """Return the mean loss of a batch; Keras calls this."""
        del x
        if self.teachers:
            losses = keras.losses.categorical_crossentropy(
                keras.ops.softmax(y_pred["teachers"]), y_pred["logits"], from_logits=True
            )
        else:
            losses = keras.losses.categorical_crossentropy(
                y, y_pred["logits"] + self.adjustment, from_logits=True, label_smoothing=self._recipe.label_smoothing
            )
        return keras.ops.mean(losses)


class AveragingAdamW(keras.optimizers.AdamW):  # type: ignore[misc] # Keras has no types
    """AdamW that puts the average of the weights in their place only when it is told to.

    Keras's own does so at the end of each `fit`, and each part of a training between two checkpoints is one.
    """

    def finalize_variable_values(self, var_list: Any) -> None:
        """Do nothing; Keras calls this."""

    def load_average(self, variables: Any) -> None:
        """Set the variables to their moving averages."""
        super().finalize_variable_values(variables)


def _make_optimizer(recipe: Recipe, steps: int) -> AveragingAdamW:
    warm_up = steps // 10
    rate = keras.optimizers.schedules.CosineDecay(
        recipe.learning_rate / 100,
        decay_steps=max(1, steps - warm_up),
        warmup_target=recipe.learning_rate,
        warmup_steps=warm_up,
    )
    return AveragingAdamW(rate, weight_decay=recipe.weight_decay, use_ema=True, ema_momentum=recipe.average_momentum)
