"""What algorithms are compared on: objectives of architectures, known without running anything."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lts._core import Architecture, Objective, Search, analytic, analytic_names, nondominated, parse_objective
from lts.benchmarks.domain import Domain, domain_of
from lts.errors import UsageError
from lts.measure.tables.hwgpt_surrogates import SCALES, HwGptSurrogates
from lts.measure.tables.reader import read_table
from lts.system.text import magnitude

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

HWGPT = "hwgpt:"
"""How a source begins that is a folder of published surrogates: the path and the scale follow, as in hwgpt:FOLDER/s."""

# Random members of a space whose worst values are the reference point, and candidates that evolve to the best known
# front, each of so many searches.
_SAMPLED, _EVOLVED, _SEARCHES = 5000, 15_000, 2
_POPULATION = 200


class BenchmarkProblem(ABC):
    """Objectives of the architectures of a domain.

    Parameters
    ----------
    name
        What it is called.
    domain
        What varies.
    objectives
        What is optimized: two or more.
    """

    def __init__(self, name: str, domain: Domain, objectives: Sequence[Objective]) -> None:
        self.name = name
        self.domain = domain
        self.objectives = tuple(objectives)
        self.signs = np.array([-1.0 if objective.direction == "max" else 1.0 for objective in self.objectives])

    @abstractmethod
    def points(self, architectures: Sequence[Architecture]) -> Array:
        """Objectives of architectures turned so that less is better, (n, m)."""

    @property
    @abstractmethod
    def digest(self) -> str:
        """What tells it from other problems: runs of one digest can be compared."""

    @property
    @abstractmethod
    def about(self) -> str:
        """What values are, and where the reference front and point come from, in a sentence for people."""

    @abstractmethod
    def reference(self) -> tuple[Array, Array]:
        """The best front that is known, (n, m), and the reference point of hypervolumes, (m,); minimized."""


class PoolProblem(BenchmarkProblem):
    """A table. An architecture has the values of the row that is nearest to it, so that only rows are ever found.

    The distance is the sum over the layers of how far apart their choices are, each from 0 to 1; a layer that one of
    both does not have counts as one step beyond its first choice, and d_model counts as often as there are layers. This
    is the nearest-neighbor surrogate that tabular benchmarks commonly use for spaces that they cover sparsely.

    Raises
    ------
    UsageError
        For a file that is no table, a column that it does not have, or one that lacks architectures of its choices
        unless `pool` says that only its rows matter.
    """

    def __init__(self, path: Path, objectives: Sequence[str], family: str | None = None, *, pool: bool = False) -> None:
        table = read_table(path, family)
        wanted = _objectives(objectives, list(table.columns), str(path))
        columns = {o.name: np.array(table.column(o.name)) for o in wanted}
        kept = np.flatnonzero(np.isfinite(np.column_stack(list(columns.values()))).all(axis=1))
        if not len(kept):
            raise UsageError(f"{path} has no row with numbers in {', '.join(columns)}")
        self.architectures = [table.architectures[i] for i in kept]
        super().__init__(path.name, domain_of(self.architectures, path.name), wanted)
        if not pool and (n := len(set(self.architectures))) < self.domain.space.size:
            raise UsageError(
                f"{path} has {n} of the {magnitude(self.domain.space.size)} architectures that its choices make: "
                "--pool gives each the values of the nearest row"
            )
        self._every = np.column_stack([values[kept] for values in columns.values()]) * self.signs
        scale = 1.0 / np.maximum(1.0, np.array(self.domain.sizes) - 1.0)
        scale[1] *= max(self.domain.n_layer)
        self._scale = scale.astype(np.float32)
        self._rows = self.domain.positions(self.architectures).astype(np.float32) * self._scale

    def nearest(self, architecture: Architecture) -> int:
        """The row whose values an architecture has; of equally near ones the first."""
        at = self.domain.positions([architecture])[0].astype(np.float32) * self._scale
        return int(np.abs(self._rows - at).sum(axis=1).argmin())

    def points(self, architectures: Sequence[Architecture]) -> Array:
        return np.asarray(self._every[[self.nearest(a) for a in architectures]])

    @property
    def digest(self) -> str:
        return _hashed([*map(str, self.objectives)], self._rows.tobytes() + self._every.tobytes())

    @property
    def about(self) -> str:
        return (
            f"an architecture has the values of the nearest of {len(self.architectures)} rows; the reference front is "
            "that of all rows, the reference point their worst value of each objective"
        )

    def reference(self) -> tuple[Array, Array]:
        return self._every[nondominated(self._every)], self._every.max(axis=0)


class SurrogateProblem(BenchmarkProblem):
    """Published surrogates of HW-GPT-Bench, for all architectures of one of its spaces; columns also by counting.

    Raises
    ------
    UsageError
        For a folder without surrogates, or a column that there is none of.
    """

    def __init__(self, folder: Path, scale: str, objectives: Sequence[str], *, published: bool = False) -> None:
        self.surrogates = HwGptSurrogates(folder, scale, published=published)
        choices = SCALES[scale]
        domain = Domain(
            f"hw-gpt-{scale}",
            choices.n_layer,
            choices.d_model,
            tuple((n, n) for n in choices.n_head),
            choices.ratios,
            is_ratio=True,
            fixed={"family": "gpt2", "vocab_size": 50254, "n_positions": 1024, "head_dim": 64},
        )
        known = [*self.surrogates.columns, *analytic_names()]
        super().__init__(f"HW-GPT-Bench {scale.upper()}", domain, _objectives(objectives, known, str(folder)))

    def points(self, architectures: Sequence[Architecture]) -> Array:
        columns = [self._column(objective.name, architectures) for objective in self.objectives]
        return np.asarray(np.column_stack(columns) * self.signs)

    def _column(self, name: str, architectures: Sequence[Architecture]) -> Array:
        if name in self.surrogates.columns:
            return self.surrogates.predict(name, architectures)
        return np.array([float(analytic(name, a)) for a in architectures])

    @property
    def digest(self) -> str:
        sample = [c.architecture for c in Search(self.domain.space, ["x:min"], (), "random", 0).ask(50)]
        return _hashed([*map(str, self.objectives), self.name], self.points(sample).tobytes())

    @property
    def about(self) -> str:
        encoded = ", encoded as its interface does today" if self.surrogates.published else ""
        return (
            f"values are predictions of the published surrogates{encoded}, of models with biases; the reference front "
            f"is the best of {_SEARCHES} long searches and of all runs, the reference point the worst value of each "
            f"objective of {_SAMPLED} random architectures"
        )

    def reference(self) -> tuple[Array, Array]:
        names = [f"{i}:min" for i in range(len(self.objectives))]
        search = Search(self.domain.space, names, (), "random", 0)
        sampled = self.points([candidate.architecture for candidate in search.ask(_SAMPLED)])
        found = [sampled]
        for seed in range(_SEARCHES):
            search = Search(self.domain.space, names, (), "nsga2", seed, population_size=_POPULATION)
            for _ in range(_EVOLVED // _POPULATION):
                candidates = search.ask(_POPULATION)
                points = self.points([candidate.architecture for candidate in candidates])
                for candidate, point in zip(candidates, points, strict=True):
                    search.tell(candidate.id, {f"{i}": float(value) for i, value in enumerate(point)})
            found.append(np.array(search.archive.points))
        every = np.vstack(found)
        return every[nondominated(every)], sampled.max(axis=0)


def open_problem(
    source: str,
    objectives: Sequence[str] = (),
    *,
    pool: bool = False,
    published: bool = False,
    family: str | None = None,
) -> BenchmarkProblem:
    """The problem of a table's path, or of ``hwgpt:FOLDER/SCALE``.

    Parameters
    ----------
    source
        What is known.
    objectives
        Two or more, as in ``ppl:min``; by default perplexity and the first latency of published surrogates.
    pool, family
        Of a table: see `PoolProblem` and `lts.measure.tables.reader.read_table`.
    published
        Of surrogates: see `lts.measure.tables.hwgpt_surrogates.HwGptSurrogates`.

    Raises
    ------
    UsageError
        For a source that is neither, or columns that it does not have.
    """
    if source.startswith(HWGPT):
        folder, _, scale = source.removeprefix(HWGPT).rpartition("/")
        if not folder or scale not in SCALES:
            raise UsageError(f"'{source}' names no surrogates; expected hwgpt:FOLDER/SCALE, SCALE {', '.join(SCALES)}")
        if family is not None or pool:
            raise UsageError("--family and --pool are for tables; surrogates know every architecture of their space")
        return SurrogateProblem(Path(folder), scale, objectives, published=published)
    if published:
        raise UsageError("--published-encodings is for hwgpt:FOLDER/SCALE; a table has no encodings")
    return PoolProblem(Path(source), objectives, family, pool=pool)


def _objectives(given: Sequence[str], columns: Sequence[str], source: str) -> list[Objective]:
    """The objectives as given, or perplexity with the first latency where a source has these."""
    if not given:
        latencies = [name for name in columns if name.startswith("latencies")]
        if "perplexity" not in columns or not latencies:
            raise UsageError(f"name two objectives, as in --objective COLUMN:min; {source} has {', '.join(columns)}")
        given = ["perplexity:min", f"{latencies[0]}:min"]
    try:
        found = [parse_objective(each) for each in given]
    except ValueError as error:
        raise UsageError(str(error)) from None
    names = [objective.name for objective in found]
    if len(names) < 2 or len(set(names)) < len(names):
        raise UsageError(f"a benchmark needs two or more different objectives, got {', '.join(names)}")
    if unknown := [name for name in names if name not in columns]:
        raise UsageError(f"{source} has no column '{unknown[0]}'; expected one of {', '.join(columns)}")
    return found


def _hashed(words: Sequence[str], data: bytes) -> str:
    return hashlib.sha256(json.dumps(list(words)).encode() + data).hexdigest()[:16]
