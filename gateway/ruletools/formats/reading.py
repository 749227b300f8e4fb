"""Reading foreign objects: wrapped or not, keys in any spelling, values of the right kind, and what nobody reads."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from gateway.ruletools.formats.outcome import FormatError, Loss

MAX_WRAPPERS: Final = 16
"""Lists and responses inside one another in which an object may be."""


def at(*parts: object) -> str:
    """A place: the parts that are not empty, joined by dots."""
    return ".".join(text for text in map(str, parts) if text)


def wrong(place: str, accepted: str, found: object) -> FormatError:
    """The error for a value that is not of the format."""
    text = repr(found)
    text = text if len(text) <= 60 else text[:57] + "..."
    return FormatError(f"{place or 'the document'}: {accepted} is accepted; found {text}")


def parsed(value: object, place: str) -> object:
    """The JSON in a text; anything else as it is. Raises FormatError for a text that holds no JSON."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value) if value.strip() else None
    except (ValueError, RecursionError) as error:
        raise wrong(place, "JSON", value) from error


def sequence(value: object, place: str) -> list[Any]:
    """A list; nothing is an empty one. Raises FormatError for anything else."""
    if value is None:
        return []
    if not isinstance(value, list | tuple):
        raise wrong(place, "a list", value)
    return list(value)


def unwrapped(
    data: object, wrappers: Sequence[str], is_one: Callable[[Fields], bool], place: str = "", depth: int = 0
) -> Iterator[Fields]:
    """The objects in `data`, with their places: one, a list of them, JSON in a text, or what an API returns.

    `wrappers` are the keys under which responses have them; what `is_one` is none. An object that is neither is given too:
    who reads it says what is wrong with it. Raises FormatError for what is not an object.
    """
    if isinstance(data, str):
        try:
            data = parsed(data, place)
        except FormatError as error:
            raise wrong(place, "an object", data) from error
    if data is None:
        return
    if depth > MAX_WRAPPERS:
        raise wrong(place, f"an object in at most {MAX_WRAPPERS} lists and responses", data)
    if isinstance(data, list | tuple):
        for index, item in enumerate(data):
            yield from unwrapped(item, wrappers, is_one, at(place, index), depth + 1)
        return
    fields = Fields(data, place)
    inside = [] if is_one(fields) else [key for key in wrappers if fields.has(key)]
    if not inside:
        yield fields
    for key in inside:
        yield from unwrapped(fields.get(key), wrappers, is_one, fields.at(key), depth + 1)


class Fields:
    """One object of the source.

    A key is found in every spelling that SDKs give it: `RestItems`, `restItems`, `rest_items`. Every value that is asked
    for counts as read; `rest` lists the others. All methods raise FormatError for a value of the wrong kind.
    """

    def __init__(self, data: object, place: str = "") -> None:
        if not isinstance(data, Mapping):
            raise wrong(place, "an object", data)
        self.place = place
        self._data: dict[str, Any] = {}
        self._spelling: dict[str, str] = {}
        self._twins: dict[str, str] = {}
        self._read: set[str] = set()
        for key, value in data.items():
            plain = _plain(str(key))
            if plain not in self._data:
                self._data[plain] = value
                self._spelling[plain] = str(key)
            elif str(self._data[plain]) != str(value):
                self._twins[plain] = str(key)

    def has(self, *keys: str) -> bool:
        """Whether one of these keys is there."""
        return any(_plain(key) in self._data for key in keys)

    def at(self, key: str) -> str:
        """Where a key's value is, as the source spells it."""
        return at(self.place, self._spelling.get(_plain(key), key))

    def get(self, key: str) -> Any:
        """A value as it is, None if there is none."""
        plain = _plain(key)
        if plain in self._twins:
            place = at(self.place, self._twins[plain])
            raise FormatError(f"{place}: one spelling of a key is accepted; found {self._spelling[plain]} too")
        return self.first(key)

    def first(self, key: str) -> Any:
        """The same of a key that may be spelt twice and say different things: what is said first."""
        plain = _plain(key)
        self._read.add(plain)
        return self._data.get(plain)

    def text(self, key: str, default: str | None = "") -> str:
        """A text; whole numbers are taken for one. A `default` of None: there must be one, and it is not empty."""
        value = self.get(key)
        if value is None and default is not None:
            return default
        if isinstance(value, bool) or not isinstance(value, str | int) or (value == "" and default is None):
            raise wrong(self.at(key), "text", value)
        return str(value)

    def flag(self, key: str, default: bool) -> bool:
        """A truth value, also as 0, 1, or a text."""
        value = self.get(key)
        if value is None or value == "":
            return default
        known = {"true": True, "1": True, "false": False, "0": False}.get(str(value).lower())
        if known is None:
            raise wrong(self.at(key), "true or false", value)
        return known

    def number(self, key: str, default: float) -> float:
        """A number, also as a text."""
        value = self.get(key)
        if value is None or value == "":
            return default
        try:
            if isinstance(value, bool):
                raise TypeError
            return float(value)
        except (TypeError, ValueError, OverflowError) as error:
            raise wrong(self.at(key), "a number", value) from error

    def word(self, key: str, words: Sequence[str], default: str) -> str:
        """One of some words in any case, or its number: protobuf writes enumerations either way."""
        value = self.get(key)
        if value is None or value == "":
            return default
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < len(words):
            return words[value]
        if not isinstance(value, str) or value.upper() not in words:
            raise wrong(self.at(key), " or ".join(words), value)
        return value.upper()

    def texts(self, key: str) -> list[str]:
        """A list of texts."""
        found = sequence(self.get(key), self.at(key))
        for index, value in enumerate(found):
            if isinstance(value, bool) or not isinstance(value, str | int):
                raise wrong(at(self.at(key), index), "text", value)
        return [str(value) for value in found]

    def children(self, key: str) -> list[Fields]:
        """A list of objects; it, or each of them, may be a text that holds JSON."""
        place = self.at(key)
        found = sequence(parsed(self.get(key), place), place)
        return [Fields(parsed(item, at(place, index)), at(place, index)) for index, item in enumerate(found)]

    def child(self, key: str) -> Fields | None:
        """An object, or a text that holds one as JSON; None if there is none."""
        value = parsed(self.get(key), self.at(key))
        return None if value is None else Fields(value, self.at(key))

    def unread(self) -> list[str]:
        """The keys that nobody requested and that say something, as the source spells them."""
        return [self._spelling[key] for key, value in self._data.items() if value and key not in self._read]

    def rest(self) -> list[Loss]:
        """A loss for what nobody reads and that says something: 0, false and empty values do not."""
        keys = self.unread()
        return [Loss(at(self.place, keys[0]), f"{', '.join(keys)}: no counterpart; left out")] if keys else []


def _plain(key: str) -> str:
    return key.replace("_", "").lower()
