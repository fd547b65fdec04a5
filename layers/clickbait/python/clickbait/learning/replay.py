"""Store and load features of the images that the shipped model was trained and tested on.

An update replays 800 training images so that the new layer keeps what the model knows. The test
images are the "world": every update is measured on them too. The file takes about 3 MB and holds
only numbers, from which no image can be restored. The hashes of all images that the model knows
show which of an owner's images it was trained on.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from clickbait.errors import InvalidModel
from clickbait.inference.calibration import Calibration
from clickbait.inference.images import NEAR_HASH_ALONE, hamming
from clickbait.learning.copies import Sketch
from clickbait.learning.features import Outputs
from clickbait.learning.head import Examples

FILE = "replay.npz"
"""Name of the stored replay in the folder of a version."""
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
class Known:
    """n images of which only their hashes are kept: the SHA-256 of the file as 64 hex digits, and
    `images.perceptual_hash` as a number (n,)."""

    sha256: tuple[str, ...] = ()
    hashes: npt.NDArray[np.uint64] = field(default_factory=lambda: np.zeros(0, np.uint64))

    def matches(self, sha256: str, sketch: Sketch | None = None) -> npt.NDArray[np.bool_]:
        """Mark (n,) the images that are the image with this SHA-256, or a near copy of `sketch`,
        mirrored or not.

        Hashes alone find re-saved and resized copies, but no crops and no captions. Almost flat
        images share a hash whatever they show, so only their SHA-256 counts.
        """
        same = np.array([one == sha256 for one in self.sha256], bool)
        for hashed in (sketch.hash, sketch.mirrored) if sketch else ():
            if NEAR_HASH_ALONE < hashed.bit_count() < 64 - NEAR_HASH_ALONE:
                same |= hamming(self.hashes, np.uint64(hashed)) <= NEAR_HASH_ALONE
        return same


@dataclass(frozen=True)
class Replay:
    """Images to replay, `train`, and to measure on, `test`. `network` is the sha256 of the TFLite
    file that computed their features. The features do not fit any other network.

    learned: all images that the network was trained or calibrated on, not only those in `train`.
    measured: the images of `test`, in the same order.
    """

    network: str
    train: Part
    test: Part
    learned: Known = Known()
    measured: Known = Known()

    def without(self, images: Sequence[tuple[str, Sketch | None]]) -> "Replay":
        """Return the replay without the test images that are among `images` (SHA-256 and sketch):
        an update cannot be measured on images that it learns from."""
        out = np.zeros(len(self.test.labels), bool)
        for sha256, sketch in images:
            if self.measured.sha256:
                out |= self.measured.matches(sha256, sketch)
        kept = ~out
        outputs = self.test.outputs
        test = Part(
            Outputs(outputs.features[kept], outputs.logits[kept]),
            self.test.labels[kept],
            self.test.units[kept],
        )
        measured = self.measured
        if measured.sha256:
            names = tuple(n for n, keep in zip(measured.sha256, kept, strict=True) if keep)
            measured = Known(names, measured.hashes[kept])
        return replace(self, test=test, measured=measured)


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
            known = {
                name: Known(
                    tuple(bytes(row).hex() for row in stored[f"{name}_sha256"]),
                    stored[f"{name}_hashes"].astype(np.uint64),
                )
                for name in ("learned", "measured")
            }
            return Replay(
                str(stored["network"]),
                parts["train"],
                parts["test"],
                known["learned"],
                known["measured"],
            )
    except (ValueError, KeyError, OSError, EOFError) as error:
        raise InvalidModel(f"The stored features cannot be read: {error}") from error


def write(replay: Replay) -> bytes:
    """Return `replay` as the bytes of an `.npz` file."""
    file = io.BytesIO()
    arrays = {"network": np.array(replay.network)}
    for name, known in (("learned", replay.learned), ("measured", replay.measured)):
        digests = [list(bytes.fromhex(one)) for one in known.sha256]
        arrays[f"{name}_sha256"] = np.array(digests, np.uint8).reshape(-1, 32)
        arrays[f"{name}_hashes"] = known.hashes
    for name, part in (("train", replay.train), ("test", replay.test)):
        arrays[f"{name}_features"] = part.outputs.features
        arrays[f"{name}_logits"] = part.outputs.logits.astype(np.float32)
        arrays[f"{name}_labels"] = part.labels.astype(np.int8)
        arrays[f"{name}_units"] = part.units.astype(np.int32)
    np.savez(file, **arrays)  # type: ignore[arg-type]
    return file.getvalue()
