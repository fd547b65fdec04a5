"""Store and load features of the images that the shipped model was trained and tested on.

An update replays 800 training images so that the new layer keeps what the model knows. The test
images are the "world": every update is measured on them too. The file takes about 3 MB and holds
only numbers, from which no image can be restored.
"""

import io
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from clickbait.errors import InvalidModel
from clickbait.inference.calibration import Calibration
from clickbait.learning.features import Outputs
from clickbait.learning.head import Examples

REPLAYED = 800


@dataclass(frozen=True)
class Part:
    """n images: the network's outputs, labels (n,) of 0 and 1, and units (n,): images of one group
    share a number. corrected (n,) marks accepted corrections of live predictions, if any."""

    outputs: Outputs
    labels: npt.NDArray[np.int64]
    units: npt.NDArray[np.int64]
    corrected: npt.NDArray[np.bool_] | None = None

    def examples(self, calibration: Calibration) -> Examples:
        """Return the images as examples. `calibration` belongs to the version whose network
        computed the outputs."""
        logits = self.outputs.calibrated(calibration)
        corrected = self.corrected
        return Examples(self.outputs.features, logits, self.labels, self.units, None, corrected)


@dataclass(frozen=True)
class Replay:
    """Images to replay, `train`, and to measure on, `test`. `network` is the sha256 of the TFLite
    file that computed their features. The features do not fit any other network."""

    network: str
    train: Part
    test: Part


def read(data: bytes) -> Replay:
    """Return the replay that `write` serialised. Raises InvalidModel if `data` is anything else."""
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as stored:
            parts = {
                part: Part(
                    Outputs(
                        stored[f"{part}_features"], stored[f"{part}_logits"].astype(np.float64)
                    ),
                    stored[f"{part}_labels"].astype(np.int64),
                    stored[f"{part}_units"].astype(np.int64),
                )
                for part in ("train", "test")
            }
            return Replay(str(stored["network"]), parts["train"], parts["test"])
    except (ValueError, KeyError, OSError, EOFError) as error:
        raise InvalidModel(f"The stored features cannot be read: {error}") from error


def write(replay: Replay) -> bytes:
    """Return `replay` as the bytes of an `.npz` file."""
    file = io.BytesIO()
    arrays = {"network": np.array(replay.network)}
    for name, part in (("train", replay.train), ("test", replay.test)):
        arrays[f"{name}_features"] = part.outputs.features
        arrays[f"{name}_logits"] = part.outputs.logits.astype(np.float32)
        arrays[f"{name}_labels"] = part.labels.astype(np.int8)
        arrays[f"{name}_units"] = part.units.astype(np.int32)
    np.savez(file, **arrays)  # type: ignore[arg-type]
    return file.getvalue()
