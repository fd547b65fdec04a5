"""The orientation in EXIF data, the only entry of it that decides what a viewer shows."""

import struct

ORIENTATION = 0x0112
PREFIX = b"Exif\0\0"
FORMS = {1: "B", 3: "H", 4: "I"}
"""TIFF types that whole numbers have: byte, short, long."""


def orientation(data: bytes) -> int:
    """The orientation, 1 to 8, in EXIF `data` with or without its prefix.

    1 if there is none, or the data is damaged: the pixels may be fine. Source: CIPA DC-008.
    """
    tiff = data.removeprefix(PREFIX)
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    if order is None:
        return 1
    try:
        (first,) = struct.unpack_from(f"{order}I", tiff, 4)
        (entries,) = struct.unpack_from(f"{order}H", tiff, first)
        for at in range(first + 2, first + 2 + 12 * entries, 12):
            tag, form, count = struct.unpack_from(f"{order}HHI", tiff, at)
            if tag == ORIENTATION:
                value: int = struct.unpack_from(order + FORMS[form], tiff, at + 8)[0]
                if count == 1 and 1 <= value <= 8:
                    return value
    except (struct.error, KeyError):
        pass
    return 1
