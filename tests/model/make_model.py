"""Trains the model of the tests, in a minute, on what they draw and on the photos of this repository.

`PYTHONPATH=functions:. .venv-training/bin/python -m tests.model.make_model` writes `clothing.tflite` and `model.json`
here. Run it after a change of the drawings, or of what the function expects of a model, and commit the files. The same
packages on the same machine write the same files.
"""

import hashlib
import io
import json
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from PIL import Image, ImageEnhance

from classifier.description import DESCRIPTION_FILE, NETWORK_FILE
from classifier.limits import Limits
from classifier.model import needs_review, softmax
from classifier.photos import decode
from tests.support.drawings import care_label, garment
from tests.support.paths import ROOT
from training.out_of_distribution import KINDS, generate

LABELS = ("dress", "hat", "longsleeve", "outwear", "pants", "shirt", "shoes", "shorts", "skirt", "t-shirt")
SIZE = 96  # pixels; the drawings need no more
# What the tests draw. Labels with neither a drawing nor a photo have no examples.
DRAWN = ("t-shirt", "pants")
SHIRTS = ("t-shirt.jpg", "t-shirt-yellow.jpg", "t-shirt-green.jpg")  # in `local/`
CATEGORIES = ROOT / "training" / "categories.toml"

_COPIES = 300  # of each picture, changed at random
_GENERATED = 1000  # of each kind of picture without clothes
_FILTERS = (16, 32, 48, 64)  # of each convolution, which halves the picture's sides
_EPOCHS = 12
_SMOOTHING = 0.03  # of the labels; the scores stay below 1, as those of photos do
_FAMILIAR = 0.9  # what the familiarity of clothes is trained for; its negative for other pictures
_REVIEW_THRESHOLD = 0.8
_FAMILIARITY_THRESHOLD = 0.2


class Pictures(NamedTuple):
    """Training pictures.

    `images`: uint8, RGB, of shape (n, size, size, 3). `targets`: int64, of shape (n,), indexes into the labels, or -1
    for pictures that show no clothes.
    """

    images: npt.NDArray[np.uint8]
    targets: npt.NDArray[np.int64]


def make_model(folder: Path, labels: Sequence[str] = LABELS, size: int = SIZE) -> None:
    """Train a network for these labels, and write it with its description into the folder.

    Its accuracy is measured on other copies of the same pictures.
    """
    keras.utils.set_random_seed(1)
    network = train(draw_pictures(labels, size, _COPIES, seed=1), len(labels))
    accuracy = measure(network, draw_pictures(labels, size, _COPIES // 10, seed=2))
    content = convert(network, size)
    metrics = {"metrics": {"held_out": {"accuracy": accuracy}}}
    description = json.dumps(describe(content, labels, size) | metrics, indent=2)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / NETWORK_FILE).write_bytes(content)
    (folder / DESCRIPTION_FILE).write_text(f"{description}\n", encoding="utf-8")


def draw_pictures(labels: Sequence[str], size: int, copies: int, seed: int) -> Pictures:
    """Return changed copies of all pictures whose label is among the labels, and pictures that show no clothes."""
    rng = np.random.default_rng(seed)
    images, targets = [], []
    for label, picture in read_pictures():
        if label is None or label in labels:
            images += [change(picture, size, rng) for _ in range(copies)]
            targets += [-1 if label is None else labels.index(label)] * copies
    for kind in KINDS:
        generated = generate(kind, _GENERATED, size, seed)
        images += list(generated)
        targets += [-1] * len(generated)
    return Pictures(np.stack(images), np.array(targets, np.int64))


def read_pictures() -> list[tuple[str | None, Image.Image]]:
    """Return the garments that the tests draw, the photos of this repository, and a care label, which has no label."""
    photos = [("t-shirt", ROOT / "local" / name) for name in SHIRTS]
    photos += [(path.stem, path) for path in sorted((ROOT / "model" / "known").glob("*.jpg"))]
    return [
        *((kind, garment(kind)) for kind in DRAWN for _ in range(3)),  # as often as the photos
        *((label, _read(path.read_bytes())) for label, path in photos),
        (None, _read(care_label())),
    ]


def _read(content: bytes) -> Image.Image:
    return Image.fromarray(decode(content, 400, Limits()).pixels)


def change(picture: Image.Image, size: int, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Return a copy as another camera and another seller's hand would have taken it."""
    picture = _move(picture, size, rng)
    for enhancer in (ImageEnhance.Color, ImageEnhance.Brightness, ImageEnhance.Contrast):
        picture = enhancer(picture).enhance(rng.uniform(0.6, 1.3))
    if rng.random() < 0.2:
        picture = picture.convert("L").convert("RGB")
    if rng.random() < 0.5:
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=int(rng.integers(30, 95)))
        picture = Image.open(buffer)
    pixels = np.asarray(picture) * rng.uniform(0.9, 1.1, 3) + rng.normal(0, rng.uniform(0, 6), (size, size, 3))
    changed: npt.NDArray[np.uint8] = np.clip(pixels, 0, 255).astype(np.uint8)
    return changed


def _move(picture: Image.Image, size: int, rng: np.random.Generator) -> Image.Image:
    """Scale the picture to a square, a little rotated, moved, stretched and perhaps mirrored."""
    scale = picture.width / size * rng.uniform(0.8, 1.2) * rng.uniform(0.9, 1.1, 2)
    angle = np.deg2rad(rng.uniform(-12, 12))
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = rotation * scale * np.array([rng.choice([-1, 1]), 1])
    offset = picture.width / 2 * (1 + rng.uniform(-0.12, 0.12, 2)) - matrix @ [size / 2, size / 2]
    reduced = picture.reduce(2) if size * 2 < picture.width else picture
    factor = reduced.width / picture.width
    data = (np.column_stack([matrix, offset]) * factor).ravel().tolist()
    floor = picture.getpixel((3, 3))
    return reduced.transform((size, size), Image.Transform.AFFINE, data, Image.Resampling.BILINEAR, fillcolor=floor)


def build(labels: int) -> keras.Model:
    """Build a network from RGB pixels, float32 in [0, 255], to the outputs "logits" and "familiarity"."""
    pixels = keras.Input((None, None, 3), name="pixels")
    features = keras.layers.Rescaling(1 / 127.5, offset=-1)(pixels)
    for filters in _FILTERS:
        features = keras.layers.Conv2D(filters, 3, strides=2, padding="same")(features)
        features = keras.layers.ReLU(6)(features)
    features = keras.layers.GlobalAveragePooling2D()(features)
    logits = keras.layers.Dense(labels, name="logits")(features)
    familiarity = keras.layers.Dense(1, activation="tanh", name="familiarity")(features)
    return keras.Model(pixels, {"logits": logits, "familiarity": familiarity})


def train(pictures: Pictures, labels: int) -> keras.Model:
    """Train a network on the pictures. Its familiarity is of shape (batch,)."""
    network = build(labels)
    has_label = pictures.targets >= 0
    targets = np.eye(labels, dtype=np.float32)[pictures.targets]
    familiarity = np.where(has_label, _FAMILIAR, -_FAMILIAR)
    steps = _EPOCHS * (len(has_label) // 64 + 1)
    network.compile(
        keras.optimizers.AdamW(keras.optimizers.schedules.CosineDecay(3e-3, steps), weight_decay=1e-3),
        loss={
            "logits": keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=_SMOOTHING),
            "familiarity": "mse",
        },
    )
    network.fit(
        pictures.images,
        {"logits": targets, "familiarity": familiarity},
        sample_weight={"logits": has_label.astype(np.float32), "familiarity": np.ones(len(has_label), np.float32)},
        batch_size=64,
        epochs=_EPOCHS,
        verbose=2,
    )
    outputs = network.output
    return keras.Model(
        network.input,
        {"logits": outputs["logits"], "familiarity": keras.ops.squeeze(outputs["familiarity"], axis=-1)},
    )


def convert(network: keras.Model, size: int) -> bytes:
    """Convert a network to TensorFlow Lite, with weights in float16. It takes uint8 of shape (1, size, size, 3)."""
    weights = [variable.numpy() for variable in network.trainable_variables]

    @tf.function(input_signature=[tf.TensorSpec((1, size, size, 3), tf.uint8, name="pixels")])  # type: ignore[untyped-decorator]
    def serve(pixels: tf.Tensor) -> dict[str, tf.Tensor]:
        constants = [tf.constant(value) for value in weights]  # the converter can lose Keras's variables
        outputs: dict[str, tf.Tensor]
        outputs, _ = network.stateless_call(constants, [], tf.cast(pixels, tf.float32), training=False)
        return outputs

    converter = tf.lite.TFLiteConverter.from_concrete_functions([serve.get_concrete_function()], tf.Module())
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_types = [tf.float16]
    converted: bytes = converter.convert()
    return converted


def describe(network: bytes, labels: Sequence[str], size: int) -> dict[str, Any]:
    """Return the content of `model.json`, but for the figures of its evaluation."""
    sha256 = hashlib.sha256(network).hexdigest()
    categories = tomllib.loads(CATEGORIES.read_text(encoding="utf-8"))
    return {
        "name": "drawings",
        "version": f"drawings-{size}-{sha256[:8]}",
        "labels": labels,
        "categories": {label: categories[label] for label in labels if label in categories},
        "input": {"width": size, "height": size, "channels": "RGB", "dtype": "uint8"},
        "temperature": 1.0,
        "biases": [0.0] * len(labels),
        "review_threshold": _REVIEW_THRESHOLD,
        "familiarity_threshold": _FAMILIARITY_THRESHOLD,
        "sha256": sha256,
        "bytes": len(network),
    }


def measure(network: keras.Model, pictures: Pictures) -> float:
    """Print what the network answers to the pictures. Return its accuracy on those that show clothes.

    The network is measured before its conversion: the runtime of the function does not load beside TensorFlow.
    """
    outputs = network.predict(pictures.images, verbose=0)
    shows_clothes = pictures.targets >= 0
    right = (outputs["logits"].argmax(axis=-1) == pictures.targets)[shows_clothes]
    confidence = softmax(outputs["logits"].astype(np.float64)).max(axis=-1)
    review = needs_review(confidence, outputs["familiarity"], _REVIEW_THRESHOLD, _FAMILIARITY_THRESHOLD)
    print(f"{right.mean():.2%} of pictures of clothes get their label; {review[shows_clothes].mean():.2%} need review.")  # noqa: T201 - a command prints
    print(f"{review[~shows_clothes].mean():.2%} of other pictures need review.")  # noqa: T201
    return float(right.mean())


if __name__ == "__main__":
    make_model(Path(__file__).parent)
