"""Fine-tunes the network on a folder `train/ validation/ test/` of label folders and converts it.

Writes into a folder of the run: the TensorFlow Lite file, the recipe with the labels, and Keras's own answers for the
validation photos. `training.publish` checks those against the converted network and makes `model/` of them.
"""

import argparse
import json
import os
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow's start-up notices, before it is imported

import keras
import numpy as np
import tensorflow as tf

from classifier.description import NETWORK_FILE
from training import network
from training.dataset import DatasetError, Split, read_split
from training.run import RECIPE_FILE, VALIDATION_LOGITS_FILE


@dataclass(frozen=True, slots=True)
class Recipe:
    """All that decides how the network is trained, recorded with the model.

    The network is trained at `first_size` pixels a side for `first_epochs`, then at `size`, which is also what it
    serves at, for `epochs`. The learning rate rises over a tenth of the steps and falls to nothing as a cosine does.
    Weights are averaged over steps with `average_momentum` (exponential moving average); mixup is that of Zhang et al.
    2018; crops cover at least `smallest_crop` of a photo's area.
    """

    seed: int = 1
    size: int = 224
    epochs: int = 4
    first_size: int = 192
    first_epochs: int = 6
    batch_size: int = 32
    learning_rate: float = 2e-4
    weight_decay: float = 0.02
    label_smoothing: float = 0.1
    mixup: float = 0.2
    smallest_crop: float = 0.35
    dropout: float = 0.2
    average_momentum: float = 0.99

    @property
    def source_size(self) -> int:
        """Pixels a side at which photos are kept in memory, for crops to be cut from."""
        return self.size * 3 // 2


def train(train_split: Split, validation: Split, recipe: Recipe, weights: str) -> keras.Model:
    """Fine-tune every weight of the network; shows Keras's progress bar."""
    keras.utils.set_random_seed(recipe.seed)
    model = network.build(len(train_split.labels), weights, recipe.dropout)
    phases = [(recipe.first_size, recipe.first_epochs), (recipe.size, recipe.epochs)]
    steps = sum(epochs for _, epochs in phases) * -(-len(train_split.targets) // recipe.batch_size)
    model.compile(
        optimizer=keras.optimizers.AdamW(
            keras.optimizers.schedules.CosineDecay(
                recipe.learning_rate / 100,
                decay_steps=steps - steps // 10,
                warmup_target=recipe.learning_rate,
                warmup_steps=steps // 10,
            ),
            weight_decay=recipe.weight_decay,
            use_ema=True,
            ema_momentum=recipe.average_momentum,
        ),
        loss=keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=recipe.label_smoothing),
        metrics=["accuracy"],
    )
    done = 0
    for size, epochs in phases:
        if epochs:
            model.fit(
                training_batches(train_split, size, recipe),
                validation_data=plain_batches(validation, recipe.batch_size),
                initial_epoch=done,
                epochs=done + epochs,
                callbacks=[keras.callbacks.SwapEMAWeights()],
                shuffle=False,  # the data set shuffles itself
            )
            done += epochs
    return model


def training_batches(split: Split, size: int, recipe: Recipe) -> tf.data.Dataset:
    """Shuffled batches of augmented photos, float32 in [0, 255], with their smoothed-to-be one-hot targets."""
    flip = keras.layers.RandomFlip("horizontal", seed=recipe.seed)
    jitter = keras.layers.RandomColorJitter(
        value_range=(0, 255),
        brightness_factor=0.2,
        contrast_factor=0.2,
        saturation_factor=(0.4, 0.6),
        hue_factor=0.02,
        seed=recipe.seed,
    )
    mixup = keras.layers.MixUp(alpha=recipe.mixup, seed=recipe.seed)

    def augment(images: tf.Tensor, targets: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        cropped = random_crops(tf.cast(images, tf.float32), size, recipe.smallest_crop)
        mixed = mixup({"images": jitter(flip(cropped)), "labels": targets})
        return mixed["images"], mixed["labels"]

    one_hot = keras.utils.to_categorical(split.targets, len(split.labels))
    indexes = tf.data.Dataset.range(len(split.targets)).shuffle(len(split.targets), seed=recipe.seed)

    def gather(batch: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        images = tf.numpy_function(lambda i: split.images[i], [batch], tf.uint8)
        return tf.ensure_shape(images, (None, *split.images.shape[1:])), tf.gather(one_hot, batch)

    return indexes.batch(recipe.batch_size).map(gather).map(augment, num_parallel_calls=2).prefetch(4)


def random_crops(images: tf.Tensor, size: int, smallest: float) -> tf.Tensor:
    """Cut a random part of each image, `smallest` to all of its area, 3:4 to 4:3, and scale it to a square."""
    n = tf.shape(images)[0]
    area = tf.random.uniform((n,), smallest, 1.0)
    ratio = tf.exp(tf.random.uniform((n,), tf.math.log(3 / 4), tf.math.log(4 / 3)))
    height, width = tf.minimum(tf.sqrt(area / ratio), 1.0), tf.minimum(tf.sqrt(area * ratio), 1.0)
    top, left = tf.random.uniform((n,)) * (1 - height), tf.random.uniform((n,)) * (1 - width)
    boxes = tf.stack([top, left, top + height, left + width], axis=1)
    return tf.image.crop_and_resize(images, boxes, tf.range(n), (size, size))


def plain_batches(split: Split, batch_size: int) -> tf.data.Dataset:
    """Photos as they are served, with one-hot targets."""
    one_hot = keras.utils.to_categorical(split.targets, len(split.labels))
    return tf.data.Dataset.from_tensor_slices((split.images, one_hot)).batch(batch_size)


def main() -> int:
    """Train, convert, and write the run's folder."""
    parser = argparse.ArgumentParser(prog="python -m training.train", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with train/ and validation/")
    parser.add_argument("--weights", default="imagenet", help='"imagenet" (downloaded) or a file of weights')
    parser.add_argument("--run", type=Path, required=True, help="folder to write the results of this run to")
    for name in ("seed", "epochs", "first_epochs", "size", "first_size", "batch_size"):
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, default=getattr(Recipe(), name), dest=name)
    arguments = vars(parser.parse_args())
    data, weights, run = (arguments.pop(name) for name in ("data", "weights", "run"))
    recipe = Recipe(**arguments)
    try:
        train_split = read_split(data / "train", recipe.source_size)
        validation = read_split(data / "validation", recipe.size, train_split.labels)
    except DatasetError as error:
        print(f"train: {error}", file=sys.stderr)
        return 1
    print(f"{len(train_split.targets)} photos to train on, {len(validation.targets)} to validate.")
    model = train(train_split, validation, recipe, weights)
    run.mkdir(parents=True, exist_ok=True)
    network.write_tflite(model, recipe.size, run / NETWORK_FILE)
    np.save(run / VALIDATION_LOGITS_FILE, network.logits(model, validation.images, recipe.batch_size))
    record = {"labels": train_split.labels, "recipe": asdict(recipe)}
    (run / RECIPE_FILE).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    print(f"Wrote {run}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
