"""Named keys for callers. An admin makes, lists and revokes them; each is shown once.

A key is `cbk_<id>_<secret>`. The table has the SHA-256 of the whole key, so nobody who reads the
table can use one. A process keeps what it read of a key for a minute, so a revoked key may work for
as long. Use is counted per UTC day in the table. The use of a key with a quota is added with each
request, because Lambda may end a process at any time; that of other keys once a minute.
"""

import hmac
import re
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from hashlib import sha256
from threading import Lock
from typing import Any, Literal, get_args

from clickbait import aws
from clickbait.errors import Conflict, Forbidden, NotFound, TooManyRequests
from clickbait.keys import KEY_PARTITION, usage_partition
from clickbait.observability import logger

Role = Literal["member", "predict"]
ROLES: tuple[Role, ...] = get_args(Role)

KEY = re.compile(r"cbk_([0-9a-f]{12})_[A-Za-z0-9_-]{43}")
SECRET_BYTES = 32

MAX_KEYS = 200
"""The most keys that work. Revoked and ended ones stay in the list and do not count."""
KNOWN_SECONDS = 60.0
COUNT_SECONDS = 60.0
MAX_KNOWN = 1_000
"""The most keys that a process remembers, unknown ones among them."""
USAGE_DAYS = 35
"""How long the count of a day stays in the table."""


@dataclass(frozen=True, slots=True)
class AccessKey:
    """A key without its secret. Times are ISO 8601 in UTC."""

    id: str
    name: str
    role: str
    created: str
    by: str
    digest: str = field(repr=False)
    quota: int | None = None
    """Images a day; None for any number."""
    ends: str | None = None
    revoked: str | None = None

    def state(self, now: datetime) -> Literal["active", "ended", "revoked"]:
        """The key's state at `now`. Only an active key works."""
        if self.revoked:
            return "revoked"
        return "ended" if self.ends and datetime.fromisoformat(self.ends) <= now else "active"

    def public(self, now: datetime) -> dict[str, Any]:
        """The key as the API shows it, without its digest."""
        shown = asdict(self) | {"state": self.state(now)}
        del shown["digest"]
        return shown


def _key(item: Mapping[str, Any]) -> AccessKey:
    """Raises LookupError, TypeError or ValueError for an item that somebody damaged."""
    optional = {name: item[name] for name in ("ends", "revoked") if name in item}
    names = ("name", "role", "created", "by", "digest")
    texts = {"id": item["sk"], **{name: item[name] for name in names}, **optional}
    if not all(isinstance(text, str) for text in texts.values()):
        raise TypeError("a field that is no text")
    for time_field in optional.values():
        datetime.fromisoformat(time_field).astimezone(UTC)
    if texts["role"] not in get_args(Role):
        raise ValueError("an unknown role")
    if not isinstance(item.get("quota", 0.0), float):
        raise TypeError("a quota that is no number")
    return AccessKey(**texts, quota=int(item["quota"]) if "quota" in item else None)


def digest_of(text: str) -> str:
    """The SHA-256 of a key, in hex."""
    return sha256(text.encode()).hexdigest()


class AccessKeys:
    """The keys in one table."""

    def __init__(self, table: str) -> None:
        self.table = table

    def create(
        self, name: str, role: Role, by: str, quota: int | None, ends: datetime | None
    ) -> tuple[AccessKey, str]:
        """A new key, and its text, which is not stored; raises Conflict if MAX_KEYS work."""
        now = datetime.now(UTC)
        if sum(key.state(now) == "active" for key in self.all()) >= MAX_KEYS:
            raise Conflict(f"There are {MAX_KEYS} keys, which is the limit. Revoke one first.")
        key_id = secrets.token_hex(6)
        text = f"cbk_{key_id}_{secrets.token_urlsafe(SECRET_BYTES)}"
        key = AccessKey(
            id=key_id,
            name=name,
            role=role,
            created=now.isoformat(timespec="seconds"),
            by=by,
            digest=digest_of(text),
            quota=quota,
            ends=ends.astimezone(UTC).isoformat(timespec="seconds") if ends else None,
        )
        fields = {name: value for name, value in asdict(key).items() if value is not None}
        del fields["id"]
        item = {"pk": KEY_PARTITION, "sk": key_id, **fields}
        if aws.put_item(self.table, item, "attribute_not_exists(pk)") is None:
            raise Conflict("The id of the new key exists already. Try again.")
        return key, text

    def all(self) -> list[AccessKey]:
        """Every key, the newest first."""
        found = aws.parsed(aws.query(self.table, KEY_PARTITION), _key)
        return sorted(found, key=lambda key: (key.created, key.id), reverse=True)

    def get(self, key_id: str) -> AccessKey | None:
        item = aws.get_item(self.table, KEY_PARTITION, key_id)
        return next(aws.parsed([item] if item else [], _key), None)

    def revoke(self, key_id: str) -> AccessKey:
        """End a key for good; raises NotFound. Repeating it changes nothing."""
        item = aws.update_item(
            self.table,
            KEY_PARTITION,
            key_id,
            "SET revoked = if_not_exists(revoked, :now)",
            {":now": datetime.now(UTC).isoformat(timespec="seconds")},
            condition="attribute_exists(pk)",
        )
        if item is None:
            raise NotFound(f"There is no key {key_id}. GET /keys lists them.")
        key = next(aws.parsed([item], _key), None)
        if key is None:
            raise NotFound(f"The key {key_id} is damaged in the table, so it does not work.")
        return key

    def used(self, key_id: str, day: str) -> int:
        """Images of a day (YYYY-MM-DD) that were counted so far."""
        item = aws.get_item(self.table, usage_partition(key_id), day)
        return int(item["used"]) if item else 0

    def add(self, key_id: str, day: str, images: int) -> int:
        """Count `images` more; returns the sum of the day."""
        expires = datetime.now(UTC) + timedelta(days=USAGE_DAYS)
        item = aws.update_item(
            self.table,
            usage_partition(key_id),
            day,
            "SET expires = :expires ADD used :images",
            {":expires": int(expires.timestamp()), ":images": images},
        )
        return int((item or {})["used"])


@dataclass(slots=True)
class Use:
    """The use of a key on one day, as this process knows it."""

    day: str
    total: int
    """In the table, when this process last added to it."""
    pending: int = 0
    added: float = 0.0
    late: bool = False
    """The table did not take the last addition."""


class Gate:
    """The keys that one process has seen lately, and what it counted of each."""

    def __init__(
        self,
        keys: AccessKeys,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._keys = keys
        self._clock = clock
        self._now = now
        self._known: OrderedDict[str, tuple[float, AccessKey | None]] = OrderedDict()
        self._uses: dict[str, Use] = {}
        self._lock = Lock()

    def check(self, text: str) -> AccessKey:
        """The active key of this text; raises Forbidden. Comparing takes the same time always."""
        match = KEY.fullmatch(text)
        key = self._read(match[1]) if match else None
        same = hmac.compare_digest(digest_of(text), key.digest if key else digest_of(""))
        if key is None or not same:
            raise Forbidden("This key is not known. Ask an admin of the service for another one.")
        state = key.state(self._now())
        if state != "active":
            end = f"was revoked at {key.revoked}" if key.revoked else f"ended at {key.ends}"
            raise Forbidden(
                f"The key {key.name!r} {end}. Ask an admin of the service for another one."
            )
        return key

    def count(self, key: AccessKey, images: int) -> None:
        """Count `images` more of a key; raises TooManyRequests, counting none, past its quota."""
        with self._lock:
            day = self._now().date().isoformat()
            use = self._uses.get(key.id)
            if use is None or use.day != day:
                if use is not None:
                    self._add(key, use)
                use = self._uses[key.id] = Use(day, 0)
                self._add(key, use)
            if key.quota is not None and use.total + use.pending + images > key.quota:
                left = max(0, key.quota - use.total - use.pending)
                raise TooManyRequests(
                    f"The key {key.name!r} may classify {key.quota:,} images a day, and {left:,} "
                    f"are left today. This request has {images:,}. The count starts again at "
                    "00:00 UTC.",
                    limit=key.quota,
                    left=left,
                )
            use.pending += images
            at_once = key.quota is not None and not use.late
            if at_once or self._clock() - use.added >= COUNT_SECONDS:
                self._add(key, use)

    def forget(self) -> None:
        """After a SnapStart restore: read every key again. What was counted stays."""
        self._known.clear()

    def _read(self, key_id: str) -> AccessKey | None:
        now = self._clock()
        known = self._known.get(key_id)
        if known is not None and now - known[0] < KNOWN_SECONDS:
            return known[1]
        key = self._keys.get(key_id)
        # Another thread may remove any key meanwhile, so no step relies on the one before.
        self._known.pop(key_id, None)
        self._known[key_id] = (now, key)
        while len(self._known) > MAX_KNOWN:
            self._known.popitem(last=False)
        return key

    def _add(self, key: AccessKey, use: Use) -> None:
        """Add what is pending to the table. If that fails, it stays pending: a count that is late
        is better than a request that fails, and the next try waits, because it may be slow."""
        use.added = self._clock()
        use.late = True
        try:
            use.total = self._keys.add(key.id, use.day, use.pending)
            use.pending, use.late = 0, False
        except aws.faults() as fault:
            logger.error("use of a key not counted", key=key.id, reason=aws.reason(fault))


@cache
def gate(table: str) -> Gate:
    """The process's one gate for the keys of `table`."""
    return Gate(AccessKeys(table))
