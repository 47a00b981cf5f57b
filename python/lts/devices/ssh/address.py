"""The address of a device that is reached over ssh."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import parse_qsl

from lts.errors import UsageError

FORM = "ssh://[USER@]HOST[:PORT][?python=PATH]"
_URI = re.compile(r"ssh://(?:([^@/?#:]+)@)?(\[[0-9A-Fa-f:.%]+\]|[^@/?#:\[\]]+)(?::([0-9]+))?/?(?:\?(.*))?")


@dataclass(frozen=True)
class Address:
    """A user, host and port: what follows ``ssh://``, without the options.

    Raises
    ------
    UsageError
        For an address that no ssh client would accept.
    """

    host: str
    user: str | None = None
    port: int | None = None

    def __post_init__(self) -> None:
        if not self.host or self.host.startswith("-") or (self.user or "").startswith("-"):
            raise UsageError(f"'{self}' is not a machine; expected {FORM}")
        if self.port is not None and not 0 < self.port < 1 << 16:
            raise UsageError(f"port {self.port} of {self.host} must be from 1 to 65535")

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return (f"{self.user}@" if self.user else "") + host + (f":{self.port}" if self.port else "")

    @property
    def by_hand(self) -> str:
        """The command for connecting by hand."""
        port = f"-p {self.port} " if self.port else ""
        return f"ssh {port}{f'{self.user}@' if self.user else ''}{self.host}"

    @property
    def known_as(self) -> str:
        """Its name in ``known_hosts``."""
        return f"[{self.host}]:{self.port}" if self.port not in (None, 22) else self.host

    def arguments(self) -> list[str]:
        """The address as arguments of the ssh client."""
        user = ["-l", self.user] if self.user else []
        return [*user, *(["-p", str(self.port)] if self.port else []), "--", self.host]


_OPTIONS = {"python": "an interpreter", "llama-bench": "llama-bench"}


def parse(uri: str) -> tuple[Address, dict[str, str]]:
    """The address in a URI, and paths on the device: that of an interpreter and of llama-bench, where it names them.

    Raises
    ------
    UsageError
        For a malformed URI, or an unknown option.
    """
    match = _URI.fullmatch(uri)
    if match is None:
        raise UsageError(f"device '{uri}' is not of the form {FORM}")
    user, host, port, query = match.groups()
    paths: dict[str, str] = {}
    for key, value in parse_qsl(query or "", keep_blank_values=True):
        if key not in _OPTIONS:
            raise UsageError(f"device '{uri}' has the option '{key}'; expected python=PATH or llama-bench=PATH")
        if not value:
            raise UsageError(f"device '{uri}' has no path after {key}=; expected that of {_OPTIONS[key]} there")
        paths[key] = value
    return Address(host.strip("[]"), user, int(port) if port else None), paths
