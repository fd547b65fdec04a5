"""Names and stars that admins give to versions, so that people find them in a long list.

They lie in the table and not beside the model, because the files of a version never change.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from clickbait import aws
from clickbait.keys import VERSION_PARTITION


@dataclass(frozen=True, slots=True)
class Note:
    """A version's name for people, None for none, and its star."""

    name: str | None = None
    starred: bool = False


def read(table: str) -> dict[str, Note]:
    """Every version that has a note. A thousand take one call: about 100 bytes each."""
    items = aws.query(table, VERSION_PARTITION, consistent=True)
    return {item["sk"]: _note(item) for item in items}


def get(table: str, version: str) -> Note:
    """The note of one version; an empty one if there is none."""
    return _note(aws.get_item(table, VERSION_PARTITION, version) or {})


def change(table: str, version: str, changes: Mapping[str, Any]) -> Note:
    """Set the fields of Note that `changes` has, and return the note. Others stay as they are."""
    kept = {field: value for field, value in changes.items() if value is not None}
    removed = [f"#{field}" for field in changes if field not in kept]
    parts = [
        kept and "SET " + ", ".join(f"#{field} = :{field}" for field in kept),
        removed and "REMOVE " + ", ".join(removed),
    ]
    item = aws.update_item(
        table,
        VERSION_PARTITION,
        version,
        " ".join(part for part in parts if part),
        {f":{field}": value for field, value in kept.items()},
        names={f"#{field}": field for field in changes},
    )
    return _note(item or {})


def _note(item: Mapping[str, Any]) -> Note:
    name = item.get("name")
    return Note(name if isinstance(name, str) else None, item.get("starred") is True)
