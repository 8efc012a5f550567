"""Addresses of mail, read from text."""

from __future__ import annotations

import contextlib
from email.errors import HeaderParseError
from email.headerregistry import Address
from email.utils import getaddresses

from eventlab.errors import InvalidArgument


def address(text: str) -> Address:
    """Return one address, which may have a name: ``"Reports <reports@example.com>"``.

    Raises
    ------
    InvalidArgument
        If it is none, or several.

    Examples
    --------
    >>> address("Reports <reports@example.com>").addr_spec
    'reports@example.com'
    """
    found = getaddresses([text]) if text.isprintable() else []
    with contextlib.suppress(ValueError, IndexError, HeaderParseError):
        [(name, spec)] = found
        local, _, domain = spec.rpartition("@")
        if local and domain:
            return Address(display_name=name, addr_spec=f"{local}@{domain.encode('idna').decode()}")
    raise InvalidArgument(f"{text!r} is no address", hint='Write it like "Reports <reports@example.com>".')
