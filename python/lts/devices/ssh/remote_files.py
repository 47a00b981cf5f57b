"""What is copied to a device over ssh: content that is kept there by its hash, and the folders of jobs."""

from __future__ import annotations

import hashlib
import io
import os
import re
import tarfile
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path

from lts.devices.ssh.connection import Answer, Connection
from lts.errors import MeasurementError
from lts.system.outside import sentence

_MIB = 1 << 20
# First bytes of a pool of `lts.export.pool`, whose content depends on the position only, and which can grow.
_POOL = b"lts-engine weight pool"
_POOL_STEP = 4 * _MIB
_FULL = 74  # exit code of a script that could not write its data

# Checksums by the device's own tools; where it has no sha256sum, only sizes are checked.
_SUM = """
sum() { if command -v sha256sum >/dev/null; then sha256sum | cut -d " " -f 1; else cat >/dev/null; echo none; fi; }
part() { tail -c "+$(($2 + 1))" "content/$1" | head -c "$3" | sum; }
"""
# Argument: name. Prints whether it exists, its size in bytes (of a folder: 0), and the free space in KiB.
_LOOK = """
touch -c "content/$1"
[ -e "content/$1" ] && echo yes || echo no
[ -f "content/$1" ] && wc -c <"content/$1" || echo 0
df -Pk content | tail -n 1 | while read -r a b c free rest; do echo "$free"; done
"""
_LOOKED = re.compile(r"\s*(yes|no)\s+([0-9]{1,18})(?:\s+(?:([0-9]{1,18})|\S{1,20}))?\s*")
# Argument: name. Input: a tar file, which becomes a folder of that name once it is complete.
_FOLDER = """
new="content/.new-$1-$$"
mkdir "$new" && tar -xf - -C "$new" || { rm -rf "$new"; exit 74; }
if command -v sha256sum >/dev/null; then (cd "$new" && sha256sum -c SHA256SUMS >&2) || { rm -rf "$new"; exit 75; }; fi
if [ -e "content/$1" ]; then rm -rf "$new"; else mv "$new" "content/$1"; fi
"""
# Arguments: name, bytes. Input: a whole file.
_FILE = """
new="content/.new-$1-$$"
cat >"$new" || { rm -f "$new"; exit 74; }
[ "$(wc -c <"$new")" -eq "$2" ] || { rm -f "$new"; exit 75; }
sum <"$new"
mv "$new" "content/$1"
"""
# Arguments: name, MiB to begin at, bytes. Input: a part of a pool.
_PART = """
dd of="content/$1" bs=1048576 seek="$2" conv=notrunc || exit 74
part "$1" $(($2 * 1048576)) "$3"
"""
# Arguments: folder, then pairs of a name in it, which may be empty, and a name of content. Input: a tar file.
_JOB = """
job="jobs/$1"
shift
mkdir "$job" && tar -xf - -C "$job" || { rm -rf "$job"; exit 74; }
while [ $# -gt 0 ]; do
    [ -e "content/$2" ] || { rm -rf "$job"; echo missing; exit; }
    touch -c "content/$2"
    [ -z "$1" ] || ln "content/$2" "$job/$1" || ln -s "../../content/$2" "$job/$1" || exit 74
    shift 2
done
echo ready
"""


class Hashes:
    """SHA-256 of files of this machine, cached while the files do not change."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, int, int, int, int], str] = {}

    def of(self, path: Path, offset: int = 0, n: int | None = None) -> str:
        """The hash of `n` bytes from `offset` on, by default of the whole file."""
        facts = path.stat()
        n = facts.st_size - offset if n is None else n
        key = (str(path), facts.st_size, facts.st_mtime_ns, offset, n)
        if key not in self._known:
            found = hashlib.sha256()
            for chunk in _chunks(path, offset, n):
                found.update(chunk)
            self._known[key] = found.hexdigest()
        return self._known[key]


class RemoteFiles:
    """Copies files to a device where they are not there yet.

    Parameters
    ----------
    connection
        Connection to the device.
    hashes
        Hashes of files on this machine; keep them for later connections.
    """

    def __init__(self, connection: Connection, hashes: Hashes) -> None:
        self.copied = 0
        """Bytes of content that were copied, without the folders of jobs."""
        self._connection = connection
        self._hashes = hashes
        self._there: dict[str, int] = {}  # by name, how many bytes are known to be correct

    def path(self, name: str) -> str:
        """The path on the device of the content of that name."""
        return f"{self._connection.machine.folder}/content/{name}"

    def forget(self) -> None:
        """Forget what is known to be on the device, so that it is checked again."""
        self._there.clear()

    def folder(self, kind: str, entries: Mapping[str, Path | bytes]) -> str:
        """Copy a folder with these entries if it is missing, and return its name."""
        sums = {name: self._sum(entry) for name, entry in sorted(entries.items())}
        listing = "".join(f"{value}  {name}\n" for name, value in sums.items()).encode()
        name = f"{kind}-{hashlib.sha256(listing).hexdigest()[:32]}"
        if name not in self._there:
            data = _tar({**entries, "SHA256SUMS": listing})
            if not self._look(name, len(data))[0]:
                self._written(self._send(_FOLDER, name, data=data), len(data))
            self._there[name] = len(data)
        return name

    def file(self, path: Path, end: int | None = None) -> str:
        """Copy a file (of a pool of weights, at least the first `end` bytes) if it is missing, and return its name."""
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(_MIB)
        if head.startswith(_POOL) and size >= _MIB:
            name = f"pool-{hashlib.sha256(head).hexdigest()[:32]}"
            needed = size if end is None else min(size, -(-end // _POOL_STEP) * _POOL_STEP)
            if self._there.get(name, 0) < needed:
                self._grow(name, path, needed)
            return name
        expected = self._hashes.of(path)
        name = f"file-{expected[:32]}"
        if name not in self._there:
            there, present, _ = self._look(name, size)
            if not there or present != size:
                answer = self._send(_SUM + _FILE, name, str(size), data=_chunks(path, 0, size), n=size)
                self._written(answer, size, expected)
            self._there[name] = size
        return name

    def remove(self, name: str) -> None:
        """Remove content of that name; later it is copied again."""
        self._there.pop(name, None)
        self._connection.call('rm -rf "content/$1"', name)

    def job(self, entries: Mapping[str, Path | bytes], content: Mapping[str, str], needed: list[str]) -> str | None:
        """Make the folder of a job, with these entries and links to `content`. The job removes it.

        None when a name in `content` or in `needed` is no longer on the device.
        """
        name = uuid.uuid4().hex
        pairs = [part for pair in content.items() for part in pair]
        pairs += [part for other in needed for part in ("", other)]
        data = _tar(entries)
        answer = self._connection.call(_JOB, name, *pairs, feed=[data])
        self._written(answer, len(data))
        if answer.output.split() != ["ready"]:
            self.forget()
            return None
        return f"{self._connection.machine.folder}/jobs/{name}"

    def _grow(self, name: str, path: Path, needed: int) -> None:
        """Make the pool on the device at least that long by copying what it lacks."""
        have = self._there.get(name, 0) // _MIB * _MIB
        _, present, free = self._look(name)
        same = min(present, needed) // _MIB * _MIB
        if same > have:
            answer = self._connection.call(_SUM + 'part "$1" "$2" "$3"', name, str(have), str(same - have))
            if answer.output.strip() in (self._hashes.of(path, have, same - have), "none"):
                have = same
        if have < needed:
            n = needed - have
            self._check_space(needed - min(present, needed), free)
            chunks = _chunks(path, have, n)
            answer = self._send(_SUM + _PART, name, str(have // _MIB), str(n), data=chunks, n=n)
            self._written(answer, n, self._hashes.of(path, have, n))
        self._there[name] = needed

    def _look(self, name: str, needed: int = 0) -> tuple[bool, int, int]:
        """Whether content exists, its size, and the free bytes; raises when it is missing and there is no room."""
        output = self._connection.call(_LOOK, name).output
        match = _LOOKED.fullmatch(output)
        if match is None:
            raise MeasurementError(
                f"the answer of {self._connection.address} is wrong: asked for a file, it says '{sentence(output, 60)}'"
            )
        there, present, free = match[1] == "yes", int(match[2]), int(match[3]) << 10 if match[3] else 1 << 62
        if not there:
            self._check_space(needed, free)
        return there, present, free

    def _check_space(self, needed: int, free: int) -> None:
        if needed > free:
            raise self._connection.unwritable("No space left on device", needed)

    def _send(self, script: str, *arguments: str, data: bytes | Iterator[bytes], n: int | None = None) -> Answer:
        answer = self._connection.call(script, *arguments, feed=[data] if isinstance(data, bytes) else data)
        self.copied += len(data) if isinstance(data, bytes) else n or 0
        return answer

    def _written(self, answer: Answer, n: int, expected: str | None = None) -> None:
        """Raise `MeasurementError` unless `n` bytes were written and have the expected hash."""
        if answer.code == _FULL:
            self._look(".new", n)  # tools do not always say that the disk is full
            raise self._connection.unwritable(answer.said, n)
        if answer.code != 0 or (expected is not None and answer.output.split() not in ([expected], ["none"])):
            raise MeasurementError(
                f"what {self._connection.address} has stored in {self._connection.machine.folder} differs from what "
                "was sent; check its storage"
            )

    def _sum(self, entry: Path | bytes) -> str:
        return hashlib.sha256(entry).hexdigest() if isinstance(entry, bytes) else self._hashes.of(entry)


def _chunks(path: Path, offset: int, n: int) -> Iterator[bytes]:
    with path.open("rb") as file:
        file.seek(offset)
        while n > 0 and (chunk := file.read(min(n, _MIB))):
            n -= len(chunk)
            yield chunk


def _tar(entries: Mapping[str, Path | bytes]) -> bytes:
    """A tar file of the entries; a folder is included with all that is in it."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name, entry in sorted(entries.items()):
            if isinstance(entry, Path) and entry.is_dir():
                for path in sorted(entry.rglob("*")):
                    if path.is_file():
                        _add(archive, f"{name}/{path.relative_to(entry)}".removeprefix("./"), path)
            else:
                _add(archive, name, entry)
    return buffer.getvalue()


def _add(archive: tarfile.TarFile, name: str, entry: Path | bytes) -> None:
    data = entry if isinstance(entry, bytes) else entry.read_bytes()
    info = tarfile.TarInfo(name)
    info.size = len(data)
    info.mode = 0o700 if isinstance(entry, Path) and os.access(entry, os.X_OK) else 0o600
    archive.addfile(info, io.BytesIO(data))
