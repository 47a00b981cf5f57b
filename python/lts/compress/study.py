"""A study of the sub-networks of a trained model: from the model and texts to a front of files with real weights."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lts._core import SearchSpace, analytic, analytic_names, parse_constraint, parse_objective
from lts.compress.evaluator import EVAL_PERPLEXITY, PERPLEXITY, SubnetworkEvaluator
from lts.compress.members import WORST, LikelyMembers, uniform
from lts.compress.original import Original, read_original
from lts.compress.predicting import SubnetworkSurrogate
from lts.compress.recovering import keep_recovered, recover_member, recovered_weights
from lts.compress.source import FOLDER, Settings, SubnetworkSource
from lts.compress.text import TOKENS, read_windows
from lts.compress.writing import write_member
from lts.errors import InfeasibleError, UsageError
from lts.measure.columns import QUALITY, RECOVERED
from lts.measure.evaluator import TargetEvaluator
from lts.measure.opening import open_evaluator
from lts.measure.trial import Trial
from lts.study.exportable import MODELS, Exportable
from lts.study.schema import STORE_NAME
from lts.study.study import Study
from lts.system.progress import Observer, Work, unobserved
from lts.system.text import number
from lts.targets.target import Target
from lts.targets.workload import Workload

ORIGINAL = "original"
"""Name of the baseline that every front is compared with."""
TRIALS = 24
"""Members that are measured unless the user says otherwise."""


class CompressStudy(Study):
    """Search the sub-networks of a trained model for the front of perplexity and costs.

    What is needed of the model is found out first, which takes minutes and is kept in the folder ``compress`` beside
    the store; the same arguments go on where an earlier run has stopped. The study closes its evaluator.

    Parameters
    ----------
    model
        A folder of Hugging Face or a GGUF file, see `lts.compress.original.read_original`.
    texts
        Files of the user's text, see `lts.compress.text.read_windows`.
    target
        What is compiled for, or an evaluator of costs that is already open.
    eval_text
        A second text, on which nothing is chosen: every member has its ``eval_perplexity``.
    directory
        Where results go.
    store
        The SQLite file; by default in the directory.
    tokens, context
        Of the text: see `lts.compress.text.read_windows`.
    settings
        How sub-networks are made.
    objectives, constraints, seed
        As of `Study`; by default less perplexity, and less of the costs, and without any constraint at most three times
        the perplexity of the original.
    compare_uniform
        Baselines that keep the same share of every layer, with these shares of the decoder parameters.
    observe
        Told how far the preparations are.
    options
        Of `lts.measure.opening.open_evaluator`, such as `device` and `precision`.

    Raises
    ------
    UsageError
        For an argument that is wrong, a model or text that cannot be used, or a store that holds another study.
    MeasurementError
        When the device cannot be reached.
    """

    evaluator: SubnetworkEvaluator

    def __init__(
        self,
        model: str | Path | Original,
        texts: Sequence[str | Path],
        target: str | Target | TargetEvaluator = "host",
        *,
        directory: str | Path,
        store: str | Path | None = None,
        eval_text: str | Path | None = None,
        tokens: int = TOKENS,
        context: int | None = None,
        settings: Settings | None = None,
        objectives: Mapping[str, str] | Sequence[str] | None = None,
        constraints: Iterable[str] = (),
        compare_uniform: Sequence[float] = (),
        seed: int = 0,
        observe: Observer = unobserved,
        **options: Any,
    ) -> None:
        original = model if isinstance(model, Original) else read_original(model)
        settings = settings or Settings()
        settings.check(original)
        constraints = tuple(constraints)
        second = None if eval_text is None else Path(eval_text)
        path = Path(store) if store is not None else Path(directory) / STORE_NAME
        original = original.with_tokenizer(path.parent / FOLDER)
        windows = read_windows(original, [Path(each) for each in texts], second, tokens=tokens, context=context)
        self.directory = Path(directory)
        source = SubnetworkSource(original, windows, settings, path.parent / FOLDER)
        costs = target if isinstance(target, TargetEvaluator) else open_evaluator(target, observe=observe, **options)
        try:
            check_columns(costs, objectives or (), constraints, second=second is not None)
            self.source, self.windows = source, windows
            self.subnetworks = subnetworks = source.open(observe)
            table = subnetworks.table
            space = _named(subnetworks.space, original.path.resolve().stem)
            likely = self._likely = LikelyMembers(space, table, original.architecture)
            evaluator = SubnetworkEvaluator(
                costs, subnetworks, original.architecture, likely, windows, source.perplexities, source.describe()
            )
            observe(Work("measuring the perplexity of the original"))
            bounds = constraints or [f"{PERPLEXITY}<={WORST * evaluator.whole(PERPLEXITY):.3g}"]
            shares = {f"uniform {100 * share:.3g} %": uniform(space, likely.whole, share) for share in compare_uniform}
            super().__init__(
                space,
                evaluator,
                objectives=objectives,
                constraints=bounds,
                seed=seed,
                store=path,
                surrogate=SubnetworkSurrogate(table, evaluator.whole, evaluator.priors),
                baselines={ORIGINAL: likely.whole, **shares},
            )
        except BaseException:
            costs.close()
            raise

    def check_bounds(self) -> None:
        """Raise `InfeasibleError` when even the smallest sub-network is above a bound that is counted."""
        smallest = self._likely.smallest
        for constraint in self.constraints:
            if constraint.name in analytic_names() and constraint.relation == "<=":
                value = float(analytic(constraint.name, smallest, **self.evaluator.workload.counted))
                if not constraint.holds(value):
                    raise InfeasibleError(
                        f"no sub-network satisfies {constraint}: the smallest has {constraint.name} {number(value)}"
                    )

    def exportable(self, trial: Trial) -> Exportable:
        """A trial with the weights of its sub-network, after recovery if there was one, and the model's tokenizer."""
        folder = Path(self.directory) / MODELS / str(trial.id)
        found = recovered_weights(self.source.folder, trial.architecture)
        weights = found or self.subnetworks.weights(trial.architecture)
        configuration = self.evaluator.describe()
        return Exportable(trial.architecture, folder, weights, trial, configuration, self.source.original.tokenizer)

    def export(
        self,
        trial: Trial,
        directory: str | Path | None = None,
        formats: Iterable[str] = ("onnx", "hf", "json"),
        **options: Any,
    ) -> list[Path]:
        """Write a sub-network with its weights, by default in the folder ``models/ID``.

        `options` are those of `lts.export.export`; by default what was measured.
        """
        member = self.exportable(trial)
        load = Workload.of(member.configuration)
        form = {"precision": load.precision, "logits": load.logits, **options}
        return write_member(member, member.folder if directory is None else Path(directory), formats, **form)

    def recover(
        self,
        trial: Trial,
        seconds: float,
        *,
        device: str = "cpu",
        lora_rank: int | None = None,
        observe: Observer = unobserved,
    ) -> dict[str, float]:
        """Teach a sub-network for so many seconds what the original says on the texts; with `lora_rank`, by adapters.

        Where its perplexity is less then, exports have its new weights from now on. Its perplexities come back, and the
        trial has the first as ``recovered_perplexity``; the front stays what was measured without. See
        `lts.compress.recovery.recover`.
        """
        weights = recover_member(
            self.source,
            self.subnetworks,
            trial.architecture,
            seconds,
            device=device,
            lora_rank=lora_rank,
            observe=observe,
        )
        observe(Work("measuring the perplexity after recovery"))
        found = self.evaluator.quality_of(trial.architecture, weights)
        if found[PERPLEXITY] < trial.values[PERPLEXITY]:
            keep_recovered(self.source.folder, trial.architecture, weights)
        self.annotate(trial.id, {RECOVERED: found[PERPLEXITY]}, {RECOVERED: "measured"})
        return found

    def close(self) -> None:
        """Release the store and the device."""
        super().close()
        self.evaluator.close()


def _named(space: SearchSpace, model: str) -> SearchSpace:
    """The space, called after the model whose sub-networks it has."""
    return SearchSpace.from_json(json.dumps({**json.loads(space.to_json()), "name": f"sub-networks of {model}"}))


def check_columns(
    costs: TargetEvaluator,
    objectives: Mapping[str, str] | Sequence[str],
    constraints: Iterable[str],
    *,
    second: bool,
) -> None:
    """Raise `UsageError` for an objective or a constraint that will not be measured, before minutes of preparation."""
    try:
        given = (
            [f"{name}:{goal}" for name, goal in objectives.items()] if isinstance(objectives, Mapping) else objectives
        )
        names = [
            *(parse_objective(text).name for text in given),
            *(parse_constraint(text).name for text in constraints),
        ]
    except ValueError as error:
        raise UsageError(str(error)) from None
    if EVAL_PERPLEXITY in names and not second:
        raise UsageError(f"'{EVAL_PERPLEXITY}' is measured on a second text; name one (--eval-text FILE)")
    known = [*analytic_names(), *QUALITY, *costs.costs]
    for name in names:
        if name not in known:
            raise UsageError(
                f"unknown objective or constraint '{name}' on the device '{costs.device_name}'; expected one of "
                f"{', '.join(known)}"
            )
