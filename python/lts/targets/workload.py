"""What models are run with: a whole workload, and one step of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from lts.errors import UsageError

if TYPE_CHECKING:
    from lts._core import Architecture

LOGITS = ("all", "last")
CACHES = ("copied", "in_place")
_MOST = 2**20  # what the core counts for
# A decode step at the last context of a request is measured on its own where that is longer than the first by this.
_LONGER = 1.02
# What studies and profiles that do not say were measured with.
BEFORE = {"n_gen": 0, "batch": 1, "logits": "all", "cache": "copied"}


@dataclass(frozen=True)
class Step:
    """One run of a model: the prompt pass, or a decode step at some context.

    Parameters
    ----------
    phase
        ``prefill`` or ``decode``.
    dims
        Size of every symbolic dimension of the model's inputs by its name.
    vocab_size
        Token ids are below this.
    """

    phase: str
    dims: Mapping[str, int]
    vocab_size: int

    @staticmethod
    def of(architecture: Architecture, phase: str, context: int, batch: int = 1) -> Step:
        """The prompt pass over `context` tokens, or the decode step after `context` tokens."""
        return Step.at(phase, context, architecture.vocab_size, batch)

    @staticmethod
    def at(phase: str, context: int, vocab_size: int, batch: int = 1) -> Step:
        """The same for any model with that vocabulary."""
        n = context
        if phase == "prefill":
            dims = {"batch": batch, "sequence": n, "past": 0, "memory": 0, "total": n, "capacity": n}
        else:
            dims = {"batch": batch, "sequence": 1, "past": n, "memory": n, "total": n + 1, "capacity": n + 1}
        return Step(phase, dims, vocab_size)


@dataclass(frozen=True)
class Workload:
    """What is run: a request, as somebody waits for it.

    Parameters
    ----------
    n_prompt
        Tokens of the prompt.
    n_gen
        Tokens that are generated after it. The prompt pass gives the first one, each of the others takes a decode step
        with one token more of context. 0 is a prompt pass alone.
    batch
        Sequences at a time.
    precision
        ``float32``, ``float16``, ``int8`` or ``int4``: how weights are stored and multiplied with.
    logits
        Positions of the prompt that get logits: ``last``, which is all that generating needs, or ``all``, as for
        training, scoring and the published protocol.
    threads
        Threads that the model runs with.
    cache
        How decode steps keep keys and values: ``copied`` to new memory by every step, or ``in_place``, where a step
        adds its own. (The memory of Transformer-XL, which is neither, is copied.)

    Raises
    ------
    UsageError
        For a number out of range, unknown logits, or an unknown cache.
    """

    n_prompt: int = 128
    n_gen: int = 32
    batch: int = 1
    precision: str = "float32"
    logits: str = "last"
    threads: int = 1
    cache: str = "copied"

    def __post_init__(self) -> None:
        for name, least in (("n_prompt", 1), ("n_gen", 0), ("batch", 1)):
            number = getattr(self, name)
            if not least <= number <= _MOST:
                raise UsageError(f"{name} is {number}; it must be at least {least} and at most {_MOST}")
        if self.logits not in LOGITS:
            raise UsageError(f"unknown logits '{self.logits}'; expected {' or '.join(LOGITS)}")
        if self.cache not in CACHES:
            raise UsageError(f"unknown cache '{self.cache}'; expected {' or '.join(CACHES)}")

    @staticmethod
    def of(description: Mapping[str, Any]) -> Workload:
        """The workload of a stored study or profile; what earlier versions did not say is as it was with them."""
        known = {**BEFORE, **{name: value for name, value in description.items() if value is not None}}
        return Workload(**{name: known[name] for name in Workload.__dataclass_fields__ if name in known})

    @staticmethod
    def on(precision: str, threads: int, given: Workload | None = None) -> Workload:
        """The given workload, or the default one, with precision and threads of a target, which are its own."""
        return replace(given or Workload(), precision=precision, threads=threads)

    @property
    def n_steps(self) -> int:
        """Decode steps of a request."""
        return max(0, self.n_gen - 1)

    @property
    def contexts(self) -> tuple[int, ...]:
        """Tokens before the decode steps that are measured: the first of a request, and the last where it differs."""
        last = self.n_prompt + max(0, self.n_steps - 1)
        return (self.n_prompt,) if last <= _LONGER * self.n_prompt else (self.n_prompt, last)

    @property
    def counted(self) -> dict[str, Any]:
        """What `lts.analytic` needs to know of it."""
        return {"n_prompt": self.n_prompt, "batch": self.batch, "precision": self.precision, "logits": self.logits}

    def positions(self, *, decodes: bool) -> int:
        """Positions that a model needs, with or without decoding."""
        return self.contexts[-1] + 1 if decodes else self.n_prompt

    def steps(self, architecture: Architecture, phase: str) -> list[Step]:
        """What is run of a phase: the prompt pass, or the decode steps that are measured."""
        contexts = (self.n_prompt,) if phase == "prefill" else self.contexts
        return [Step.of(architecture, phase, context, self.batch) for context in contexts]

    def describe(self) -> dict[str, Any]:
        """Its values by name, as studies and profiles store them."""
        return asdict(self)

    def __str__(self) -> str:
        generated = f", {self.n_gen} generated" if self.n_gen else ""
        positions = "the last position" if self.logits == "last" else "all positions"
        batch = f", batch {self.batch}" if self.batch != 1 else ""
        threads = "1 thread" if self.threads == 1 else f"{self.threads} threads"
        cache = ", keys and values in place" if self.n_gen and self.cache == "in_place" else ""
        run = f"{self.n_prompt} tokens of prompt{generated}{batch}"
        return f"{run}, logits of {positions}, {self.precision}, {threads}{cache}"
