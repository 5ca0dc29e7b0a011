"""Credentials do not belong into messages, logs, cards and trackers."""

import re
from collections.abc import Mapping
from typing import Any

HIDDEN = "***"

_USER = re.compile(r"(?P<scheme>\b[a-z][a-z0-9+.-]*://)[^\s/?#@'\"]+@", re.IGNORECASE)
_NAME = r"(?:[\w-]*(?:token|secret|passw(?:or)?d|signature|credential|api[_-]?key|access[_-]?key)[\w-]*|o?auth|sig|pwd)"
_ASSIGNED = re.compile(rf"(?P<key>(?<![\w-]){_NAME}\s*=\s*)[^\s&'\"#;]+", re.IGNORECASE)
_HEADER = re.compile(r"(?P<key>\b(?:Authorization|X-[\w-]*(?:Token|Key)|Cookie)\s*:\s*)[^'\"\r\n]+", re.IGNORECASE)
_LOGIN = re.compile(r"(?P<key>(?<!\S)(?:-u|--user|--password|--oauth2-bearer)[ =])\S+")


def without_credentials(text: str) -> str:
    """A text in which user and password of urls, signatures, tokens and authorisation headers are `***`."""
    if "=" not in text and "@" not in text and ":" not in text and "-u" not in text:
        return text
    text = _USER.sub(rf"\g<scheme>{HIDDEN}@", text)
    text = _HEADER.sub(rf"\g<key>{HIDDEN}", text)
    text = _ASSIGNED.sub(rf"\g<key>{HIDDEN}", text)
    return _LOGIN.sub(rf"\g<key>{HIDDEN}", text)


def table_without_credentials(value: Any) -> Any:
    """The same for every text in tables and lists."""
    if isinstance(value, str):
        return without_credentials(value)
    if isinstance(value, Mapping):
        return {key: table_without_credentials(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [table_without_credentials(item) for item in value]
    return value
