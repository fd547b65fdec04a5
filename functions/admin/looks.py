"""Who may look at stored images: an admin alone. Where ACCESS is public anybody may read what is
said of them, but they are somebody's images, and what was refused may be anything."""

from collections.abc import Callable
from typing import Annotated

from fastapi import Depends

from clickbait.store import presigned
from clickbait.web.access import Given, is_admin


def look(given: Given) -> Callable[[str], str | None]:
    """What gives the address at which a stored image can be looked at; None for who may not."""
    return presigned.look if is_admin(given) else lambda _: None


Look = Annotated[Callable[[str], str | None], Depends(look)]
