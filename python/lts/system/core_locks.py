"""Which cores processes measure on: each is held by a name that the kernel gives to one process, and frees at its end.

A name is an address of a Unix socket in the abstract namespace (unix(7)). It needs no file, holds between users, and is
gone with the process however that ends; those of another network namespace, as most containers have, are others.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
import threading
import weakref
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from warnings import warn

from lts.errors import MeasurementWarning
from lts.system import machine
from lts.system.text import listed

GROUP = "LTS_CORE_LOCKS"
"""Environment variable: processes of one name keep off each other's cores; by default all do."""

# Those that ask who holds a name wait in its queue, which nobody reads; a queue that is full hides only the answer.
_QUEUE = 4096
# Cores whose clocks differ by less are as fast as one another: the best ones of a processor boost a little higher.
_AS_FAST = 0.9

_holders: weakref.WeakSet[Holder] = weakref.WeakSet()


class Holder:
    """What holds names of cores: a process, whose devices measure in turn, or one of several that it uses at a time."""

    def __init__(self) -> None:
        self._sockets: dict[str, socket.socket | None] = {}
        self._counts: Counter[str] = Counter()
        self._lock = threading.Lock()
        _holders.add(self)

    def holds(self, name: str) -> bool:
        """Whether the name is held here."""
        return self._counts[name] > 0

    def hold(self, name: str) -> bool:
        """Hold a name, once more where it is held here. False when somebody else has it.

        Where there are no such names (another system, a sandbox, no file descriptor left), everybody gets all of them.
        """
        with self._lock:
            if not self._counts[name]:
                try:
                    self._sockets[name] = _bound(name)
                except OSError as error:
                    if error.errno == errno.EADDRINUSE:
                        return False
                    self._sockets[name] = None
            self._counts[name] += 1
            return True

    def release(self, name: str) -> None:
        """Undo one `hold`."""
        with self._lock:
            self._counts[name] -= 1
            if not self._counts[name] and (held := self._sockets.pop(name)) is not None:
                held.close()

    def forget(self) -> None:
        """Hold nothing any more: for a forked child, whose copies of the sockets would outlive its parent."""
        self._lock = threading.Lock()
        for held in self._sockets.values():
            if held is not None:
                held.close()
        self._sockets.clear()
        self._counts.clear()


_PROCESS = Holder()


class CoreClaim:
    """The cores of one device, until `release`, or until it is collected.

    Parameters
    ----------
    holder
        On whose behalf: cores that it holds for other devices are taken again. By default this process.
    """

    def __init__(self, holder: Holder | None = None) -> None:
        self._holder = holder or _PROCESS
        self._names: list[str] = []
        self._finalizer = weakref.finalize(self, _release, self._holder, self._names, os.getpid())
        self._finalizer.atexit = False  # the kernel does it then

    def take(
        self, n: int, known: Mapping[int, machine.Processor], busy: Mapping[int, float] | None = None
    ) -> list[int]:
        """Take `n` of the logical processors that are `known`, ascending, in the order of `machine.ranked_cpus`.

        First come those that the holder has, then cores that nobody holds, then what is free of a core that somebody
        holds, then any. The last two, and cores that are slower than held ones, come with a `MeasurementWarning`.
        """
        ranked = sorted(machine.ranked_cpus(known, busy), key=lambda cpu: not self._holder.holds(cpu_name(cpu)))
        chosen: list[int] = []

        def choose(fits: Callable[[int], bool]) -> list[int]:
            found = []
            for cpu in ranked:
                if len(chosen) < n and cpu not in chosen and fits(cpu):
                    chosen.append(cpu)
                    found.append(cpu)
            return found

        alone = choose(lambda cpu: self._hold_core(cpu, known))
        beside = choose(lambda cpu: self._hold(cpu_name(cpu)))
        shared = choose(lambda cpu: True)
        if shared:
            who = _who({self._owner(cpu_name(cpu)) for cpu in shared})
            _warn(
                f"{who} on {_processors(shared)}, and no other is free: they take turns there, so times vary more and "
                "are longer than those of one alone"
            )
        elif beside:
            who = _who({self._owner(_core_name(known[cpu])) for cpu in beside})
            _warn(
                f"{who} on the same core as {_processors(beside)}, and no other is free: they share its units and "
                "caches, so times are longer than those of one alone"
            )
        elif len({known[cpu].core for cpu in alone}) < len({known[cpu].core for cpu in machine.pick_cpus(n, known)}):
            who = _who({self._owner(_core_name(each)) for each in known.values() if not self._has(each)} - {None})
            _warn(f"{who} on the other cores: several threads share one here, so times are longer than on free cores")
        elif slow := self._faster(alone, known):
            who = _who({self._owner(cpu_name(cpu)) for cpu in slow})
            _warn(f"{who} on {_processors(slow)}: only slower cores are free, so times are longer than on those")
        return sorted(chosen)

    def release(self) -> None:
        """Let go of all cores. Harmless when repeated; more may be taken afterwards."""
        _release(self._holder, self._names, os.getpid())

    def _hold(self, name: str) -> bool:
        if not self._holder.hold(name):
            return False
        self._names.append(name)
        return True

    def _hold_core(self, cpu: int, known: Mapping[int, machine.Processor]) -> bool:
        """Hold a logical processor and its core, unless somebody else holds that, or another processor of it."""
        name, core = cpu_name(cpu), _core_name(known[cpu])
        if not self._holder.hold(core):
            return False
        looked_at = []
        for sibling in known:
            if known[sibling].core != known[cpu].core:
                continue
            if not self._holder.hold(cpu_name(sibling)):  # somebody was there beside another one, who has gone
                break
            looked_at.append(cpu_name(sibling))
        else:
            looked_at.remove(name)
            self._names += [name, core]
            core = ""
        for each in (*looked_at, *filter(None, [core])):
            self._holder.release(each)
        return not core

    def _has(self, processor: machine.Processor) -> bool:
        return self._holder.holds(_core_name(processor))

    def _faster(self, chosen: Sequence[int], known: Mapping[int, machine.Processor]) -> list[int]:
        """Processors of others that are faster than one of these."""
        slowest = min((known[cpu].speed for cpu in chosen), default=0)
        faster = [cpu for cpu, each in known.items() if slowest < _AS_FAST * each.speed and not self._has(each)]
        return [cpu for cpu in faster if self._owner(cpu_name(cpu)) is not None]

    def _owner(self, name: str) -> int | None:
        """The process that holds a name: 0 when it is not known, None when there is none."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
            asking.setblocking(False)
            try:
                asking.connect(_address(name))
                said = asking.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
            except BlockingIOError:  # too many have asked
                return 0
            except OSError:
                return None
        return int(struct.unpack("3i", said)[0])


def cpu_name(cpu: int) -> str:
    """The name by which a logical processor is held."""
    return f"cpu.{cpu}"


def _core_name(processor: machine.Processor) -> str:
    return f"core.{'.'.join(processor.core)}"


def _address(name: str) -> str:
    return f"\0{os.environ.get(GROUP) or 'lts-engine'}.{name}"


def _bound(name: str) -> socket.socket:
    held = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        held.bind(_address(name))
        held.listen(_QUEUE)  # from then on the kernel says whose it is
    except BaseException:
        held.close()
        raise
    return held


def _release(holder: Holder, names: list[str], pid: int) -> None:
    if pid == os.getpid():
        for name in names:
            holder.release(name)
    names.clear()


def _who(owners: set[int | None]) -> str:
    pids = sorted(pid for pid in owners if pid)
    if pids == [os.getpid()]:
        return "another device of this process measures"
    if not pids:
        return "another process measures"
    return f"process {pids[0]} measures" if len(pids) == 1 else f"processes {listed(pids)} measure"


def _processors(cpus: Sequence[int]) -> str:
    return f"processor{'s' if len(cpus) > 1 else ''} {listed(sorted(cpus))}"


def _warn(sentence: str) -> None:
    warn(sentence, MeasurementWarning, stacklevel=3)


def _forget() -> None:
    for holder in _holders:
        holder.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
