"""A rejected value for a person to read: its structure, without the customer in it. Pure.

Addresses, phones, cards and accounts are masked in every string (as everywhere, see masking.py). Fields that name a
person by what they are called lose their value whole, and wherever such a value is repeated it becomes [id] too.
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from pipeline.customers.masking import LEAST_ID, mask_text

#: Characters of a value that are shown.
SHOWN: Final = 20_000
#: Fields whose value is a person, in the words of producers; compared in lower case without separators.
_PERSONAL: Final = frozenset(
    {"customerid", "customer", "userid", "anonymousid", "contactid", "visitorid", "externalid", "subject", "requester"}
    | {"agentid", "agent", "email", "mail", "phone", "mobile", "iban", "ip", "ipaddress", "address", "street"}
    | {"name", "firstname", "lastname", "fullname", "username", "authorname", "reviewernickname"}
    | {"birthday", "birthdate", "dateofbirth"}
)
#: The same where the bytes cannot be read as JSON: `"customer_id": "..."`, perhaps cut off.
_BY_NAME: Final = re.compile(r'"([A-Za-z_-]{2,30})"(\s*:\s*)("(?:[^"\\]|\\.)*+"?|-?\d++)')


def redacted(value: bytes) -> str:
    """The value as text, JSON laid out by lines where it is JSON, personal data replaced; at most `SHOWN` characters.

    The texts of the customer stay, masked: without them most rejections cannot be understood.
    """
    try:
        document = msgspec.json.decode(value)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return _cut(_plain(value))
    persons = sorted({text for text in _persons(document) if len(text) >= LEAST_ID}, key=len, reverse=True)
    try:
        cleaned = msgspec.json.format(msgspec.json.encode(_cleaned(document, persons)), indent=2).decode()
    except RecursionError:
        return _cut(_plain(value))
    return _cut(cleaned)


def _cleaned(node: Any, persons: list[str]) -> Any:
    if isinstance(node, dict):
        return {
            _masked(str(key), persons): "[id]" if _personal(str(key)) and _single(each) else _cleaned(each, persons)
            for key, each in node.items()
        }
    if isinstance(node, list):
        return [_cleaned(each, persons) for each in node]
    if isinstance(node, str):
        return _masked(node, persons)
    # A long number may be a phone or a card as well as any text may.
    return node if not isinstance(node, int) or mask_text(str(node)) == str(node) else "[number]"


def _persons(node: Any) -> set[str]:
    """Values of fields that name a person."""
    if isinstance(node, dict):
        found = {str(each) for key, each in node.items() if _personal(str(key)) and _single(each)}
        return found.union(*(_persons(each) for each in node.values()))
    if isinstance(node, list):
        return set[str]().union(*(_persons(each) for each in node))
    return set()


def _plain(value: bytes) -> str:
    text = value[: 4 * SHOWN].decode("utf-8", "backslashreplace")
    hidden = _BY_NAME.sub(lambda found: f'"{found[1]}"{found[2]}"[id]"' if _personal(found[1]) else found[0], text)
    return mask_text(hidden)


def _personal(key: str) -> bool:
    return re.sub(r"[^a-z]", "", key.lower()) in _PERSONAL


def _single(value: Any) -> bool:
    return isinstance(value, str | int | float) and not isinstance(value, bool) and value != ""


def _masked(text: str, persons: list[str]) -> str:
    for person in persons:
        text = text.replace(person, "[id]")
    return mask_text(text)


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN else text[:SHOWN] + f"\n[{len(text) - SHOWN:,} more characters]"
