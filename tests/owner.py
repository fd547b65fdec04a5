"""An owner who changes the images in the data bucket, and a clock that tests move.

Call these within moto's `mock_aws`, as `tests.cloud` sets it up.
"""

from collections.abc import Iterable

from clickbait import LABELS, aws

DATA = "data"


class Clock:
    """Stands in for the module `time`."""

    now = 1_800_000_000.0

    def time(self) -> float:
        return self.now


def upload(count: int, label: str, first: int = 0, prefix: str = "train") -> list[str]:
    """Upload `count` images of a class; their content differs by label and number."""
    found = [f"{prefix}/{label}/{label}-{n}.jpg" for n in range(first, first + count)]
    for key in found:
        aws.client("s3").put_object(Bucket=DATA, Key=key, Body=key.encode())
    return found


def both(count: int, first: int = 0) -> None:
    """Upload `count` images of each class."""
    for label in LABELS:
        upload(count, label, first)


def move(keys: Iterable[str], folder: str) -> None:
    """Move images to another folder, under their names."""
    s3 = aws.client("s3")
    for key in keys:
        to = f"{folder}/{key.rsplit('/', 1)[1]}"
        s3.copy_object(Bucket=DATA, Key=to, CopySource={"Bucket": DATA, "Key": key})
        s3.delete_object(Bucket=DATA, Key=key)


def remove(keys: Iterable[str]) -> None:
    """Delete images."""
    for key in keys:
        aws.client("s3").delete_object(Bucket=DATA, Key=key)
