"""Train one network to its best epoch; after a kill, resume from the last whole epoch."""

import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from clickbait.learning.metrics import auc
from training.features import Examples
from training.progress import Epochs
from training.recipe import Recipe
from training.run import Run

Arrays = list[npt.NDArray[np.float32]]

PREDICT_BATCH = 64
SAVED_EVERY = 20.0
"""Seconds of training that a kill costs at most. A checkpoint of the whole network has 100 MB, so
writing one after each short epoch takes as long as the epoch."""
WARMUP_STEPS = 20
"""Fewest steps of warm-up. Adam's first steps are equally long whatever the gradient; with one
batch an epoch, a single step at full speed undid the weights of `--from`."""


@dataclass
class State:
    """All that an interrupted training needs to resume."""

    epoch: int = 0
    best_epoch: int = 0
    best_score: float = -math.inf
    stopped: bool = False
    history: list[dict[str, Any]] = field(default_factory=list)
    weights: Arrays = field(default_factory=list)
    averages: Arrays = field(default_factory=list)
    best: Arrays = field(default_factory=list)
    optimizer: list[npt.NDArray[Any]] = field(default_factory=list)

    LISTS = ("weights", "averages", "best", "optimizer")

    def save(self, path: Path) -> None:
        """Write the whole state or nothing."""
        arrays = {
            f"{name}-{i}": a for name in self.LISTS for i, a in enumerate(getattr(self, name))
        }
        facts = {k: v for k, v in vars(self).items() if k not in self.LISTS}
        part = path.with_suffix(".part.npz")
        np.savez(part, facts=json.dumps(facts), **arrays)  # type: ignore[arg-type]
        part.replace(path)

    def add(self, row: dict[str, Any], weights: Arrays, recipe: Recipe) -> None:
        """Add an epoch: its row of history, and `weights` as they were measured."""
        self.history.append(row)
        self.epoch += 1
        reached = -math.inf if recipe.keep_last else score(row)
        if reached > self.best_score or math.isinf(reached):
            self.best_score, self.best_epoch, self.best = reached, self.epoch, weights
        waited = self.epoch - self.best_epoch
        self.stopped = waited >= recipe.patience and self.epoch < recipe.epochs

    @classmethod
    def load(cls, path: Path) -> "State":
        """The state that `save` wrote."""
        # Opened here: numpy leaves the file open if it is not an archive.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            facts = json.loads(str(stored["facts"]))
            lists: dict[str, list[Any]] = {name: [] for name in cls.LISTS}
            for key in stored.files:  # in the order in which they were written
                name, _, index = key.partition("-")
                if index:
                    lists[name].append(stored[key])
        return cls(**(facts | lists))


def forward(model: keras.Model) -> Callable[[npt.NDArray[Any]], npt.NDArray[np.float32]]:
    """A compiled function from inputs (n, ...) to logits (n,), with the model's current weights."""
    compiled = tf.function(lambda x: model(x, training=False)[:, 0], reduce_retracing=True)

    def logits(inputs: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        batches = (inputs[i : i + PREDICT_BATCH] for i in range(0, len(inputs), PREDICT_BATCH))
        parts = [compiled(tf.cast(b, tf.float32)).numpy() for b in batches]
        return np.concatenate([np.zeros(0, np.float32), *parts])

    return logits


def validate(
    logits: npt.NDArray[np.float32], labels: npt.NDArray[np.int64]
) -> dict[str, float | None]:
    """`val_loss`, `val_accuracy`, `val_auc`; None if there is nothing to measure."""
    if not len(labels):
        return {"val_loss": None, "val_accuracy": None, "val_auc": None}
    z = logits.astype(np.float64)
    loss = np.mean(np.maximum(z, 0) - z * labels + np.log1p(np.exp(-np.abs(z))))
    return {
        "val_loss": float(loss),
        "val_accuracy": float(np.mean((z > 0) == labels)),
        "val_auc": auc(labels, z),
    }


def rate(recipe: Recipe, step: int, steps_per_epoch: int) -> float:
    """Learning rate at `step`: linear warm-up over one epoch, times a cosine that ends at 0.

    The warm-up has at least WARMUP_STEPS steps, and exactly these if there is only one epoch.
    """
    first = steps_per_epoch if recipe.epochs > 1 else 0
    warm = min((step + 1) / max(first, WARMUP_STEPS), 1.0)
    turn = math.pi * step / (steps_per_epoch * recipe.epochs)
    return recipe.learning_rate * warm * (1 + math.cos(turn)) / 2


def train(
    model: keras.Model,
    examples: Examples,
    run: Run,
    *,
    member: int,
    progress: Epochs,
    teachers: Sequence[keras.Model] = (),
) -> State:
    """Train `model` and leave the weights of its best epoch in it; returns its history.

    The best epoch has the highest validation AUC (the lowest loss if AUC is undefined; without
    validation images, or with `recipe.keep_last`, the last epoch is kept). `run.state(member)` has
    everything that a later call needs, at most SAVED_EVERY old.

    With `teachers`, most of the target is their mean opinion of the very inputs that `model` gets:
    patient and consistent teaching (Beyer et al. 2022, arXiv 2106.05237).

    The current weights of `model` are its start. `recipe.anchor` pulls every step back towards
    them: L2-SP (Li et al. 2018, arXiv 1802.01483), decoupled from Adam's scaling as AdamW's decay
    is (Chen et al. 2020, arXiv 2004.12651). `recipe.keep` is their share in what is measured and
    kept (WiSE-FT, Wortsman et al. 2022, arXiv 2109.01903).
    """
    recipe, labels, checkpoint = run.recipe, examples.labels, run.state(member)
    variables = model.trainable_variables
    origin = [v.numpy() for v in variables]
    averages = [tf.Variable(v, trainable=False) for v in variables]
    optimizer = keras.optimizers.AdamW(
        recipe.learning_rate,
        weight_decay=recipe.weight_decay,
        global_clipnorm=recipe.clip_norm or None,
    )
    optimizer.build(variables)
    state = State()
    if checkpoint.exists():
        state = State.load(checkpoint)
        _assign(variables, state.weights)
        _assign(averages, state.averages)
        _assign(optimizer.variables, state.optimizer)
    for row in state.history:
        run.watch(row, recipe.epochs)
    predict = forward(model)
    step = _compiled_step(model, optimizer, averages, origin, teachers, recipe=recipe)
    # Both classes weigh the same in the loss, however many images each has.
    class_weights = len(labels) / (2 * np.bincount(labels, minlength=2))
    batches = math.ceil(len(labels) / recipe.batch_size)
    saved = time.monotonic()

    while state.epoch < recipe.epochs and not state.stopped:
        began = time.monotonic()
        rng = _reseeded(model, np.random.default_rng([recipe.seed, member, state.epoch]))
        losses, hits, speed = [], 0, 0.0
        for i, chosen in enumerate(np.array_split(rng.permutation(len(labels)), batches)):
            done = state.epoch * batches + i
            speed = rate(recipe, done, batches)
            optimizer.learning_rate.assign(speed)
            y = labels[chosen]
            share = (
                rng.beta(recipe.mixup, recipe.mixup, len(y)) if recipe.mixup else np.ones(len(y))
            )
            loss, right = step(
                tf.cast(examples.draw(chosen, rng), tf.float32),
                tf.constant(y, tf.float32),
                tf.constant(class_weights[y], tf.float32),
                tf.constant(np.maximum(share, 1 - share), tf.float32),
                tf.constant(rng.permutation(len(y)), tf.int32),
                # Young averages follow quickly: the start is not worth averaging.
                decay=tf.constant(min(recipe.averaging, (done + 1) / (done + 10)), tf.float32),
                pull=tf.constant(min(recipe.anchor * speed, 1.0), tf.float32),
            )
            losses.append(float(loss) * len(y))
            hits += int(right)
            progress.step(float(loss))

        raw = [v.numpy() for v in variables]
        tuned = [v.numpy() for v in averages] if recipe.averaging else raw
        k = recipe.keep
        _assign(variables, [k * a + (1 - k) * b for a, b in zip(origin, tuned, strict=True)])
        measured = validate(predict(examples.held_out), examples.held_out_labels)
        row = {
            "member": member + 1,
            "epoch": state.epoch + 1,
            "loss": sum(losses) / len(labels),
            "accuracy": hits / len(labels),
            **measured,
            "learning_rate": speed,
            "seconds": round(time.monotonic() - began, 2),
        }
        state.add(row, [v.numpy() for v in variables], recipe)
        _assign(variables, raw)
        state.weights, state.averages = raw, [v.numpy() for v in averages]
        state.optimizer = [v.numpy() for v in optimizer.variables]
        if time.monotonic() - saved >= SAVED_EVERY or state.epoch == recipe.epochs or state.stopped:
            state.save(checkpoint)
            run.saved(checkpoint)
            saved = time.monotonic()
        progress.epoch(row, recipe.epochs)
        run.watch(row, recipe.epochs)

    progress.skip((recipe.epochs - state.epoch) * batches)
    _assign(variables, state.best)
    return state


def score(row: dict[str, Any]) -> float:
    """The measure of an epoch: validation AUC; without both classes minus the loss; without images
    minus infinity."""
    if row["val_auc"] is not None:
        return float(row["val_auc"])
    return -math.inf if row["val_loss"] is None else -float(row["val_loss"])


def _assign(variables: Sequence[Any], values: Sequence[Any]) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def _reseeded(model: keras.Model, rng: np.random.Generator) -> np.random.Generator:
    """`rng`, after it has drawn new seeds for dropout.

    No checkpoint has dropout's state, and a resumed epoch must drop the same units as an
    uninterrupted one.
    """
    for layer in model.layers:
        if isinstance(layer, keras.layers.Dropout) and layer.rate:
            layer.seed_generator.state.assign(rng.integers(2**32, size=2, dtype=np.uint32))
    return rng


def _compiled_step(
    model: keras.Model,
    optimizer: Any,
    averages: list[Any],
    start: Arrays,
    teachers: Sequence[keras.Model],
    *,
    recipe: Recipe,
) -> Callable[..., tuple[Any, Any]]:
    variables = model.trainable_variables
    smoothing = recipe.label_smoothing
    origin = [tf.constant(v) for v in start] if recipe.anchor else []

    @tf.function(reduce_retracing=True)
    def step(
        x: Any, y: Any, weight: Any, share: Any, partner: Any, *, decay: Any, pull: Any
    ) -> tuple[Any, Any]:
        target = y * (1 - smoothing) + smoothing / 2
        if recipe.mixup:
            by_image = tf.reshape(share, [-1] + [1] * (len(x.shape) - 1))
            x = by_image * x + (1 - by_image) * tf.gather(x, partner)
            # Each target keeps its own weight, or mixing would bring the larger class back in.
            weighted = share * weight * target
            weighted += (1 - share) * tf.gather(weight * target, partner)
            weight = share * weight + (1 - share) * tf.gather(weight, partner)
            target = weighted / weight
        if teachers:
            mean = tf.add_n([t(x, training=False)[:, 0] for t in teachers]) / len(teachers)
            target = recipe.teaching * tf.sigmoid(mean) + (1 - recipe.teaching) * target
        with tf.GradientTape() as tape:
            z = model(x, training=True)[:, 0]
            each = tf.nn.sigmoid_cross_entropy_with_logits(target, z)
            loss = tf.reduce_mean(weight * each)
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        if recipe.anchor:
            for first, variable in zip(origin, variables, strict=True):
                variable.assign(first + (1 - pull) * (variable - first))
        if recipe.averaging:
            for average, variable in zip(averages, variables, strict=True):
                average.assign(decay * average + (1 - decay) * variable)
        return loss, tf.reduce_sum(tf.cast((z > 0) == (y > 0.5), tf.int32))

    return step
