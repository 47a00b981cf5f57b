"""The suite for samplers."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace

from lts._core import Architecture, SearchSpace, decoder_params
from lts.measure.evaluator import Evaluator
from lts.measure.outcome import Outcome
from lts.measure.trial import Trial
from lts.study.problem import Problem, problem_of
from lts.study.sampler import Proposal, Sampler

_OBJECTIVES = {"decoder_params": "max", "latency_ms": "min"}


class SamplerSuite:
    """What every sampler must do. Override `make_sampler`, and other methods if it needs other problems.

    Costs are those of an imaginary device, and nothing is run.
    """

    n_trials = 24
    """Number of trials that the tests ask for."""

    def make_sampler(self, problem: Problem) -> Sampler:
        """A new sampler for a problem; two calls make samplers that propose the same."""
        raise NotImplementedError("override make_sampler")

    def space(self) -> SearchSpace:
        """The space that is searched."""
        from lts.spaces.space import load_space

        return load_space("gpt2-tiny")

    def problem(self) -> Problem:
        """More decoder parameters and less latency, in `space`."""
        from lts._core import Search

        return problem_of(Search(self.space(), _OBJECTIVES, (), "lts", 7), Imagined())

    def test_it_proposes_new_members_of_the_space(self) -> None:
        trials = self.run(self.make_sampler(self.problem()), self.n_trials)
        assert trials, "it has proposed nothing"
        assert all(self.space().contains(trial.architecture) for trial in trials)
        assert len({trial.architecture.to_json() for trial in trials}) == len(trials), "a proposal came twice"

    def test_the_same_again_proposes_the_same(self) -> None:
        first, second = (self.run(self.make_sampler(self.problem()), self.n_trials) for _ in range(2))
        assert [t.architecture.to_json() for t in first] == [t.architecture.to_json() for t in second]

    def test_failures_are_survived(self) -> None:
        trials = self.run(self.make_sampler(self.problem()), self.n_trials, fails=2)
        assert sum(trial.state == "failed" for trial in trials) >= 1
        assert len({trial.architecture.to_json() for trial in trials}) == len(trials)

    def test_what_is_running_is_not_proposed_again(self) -> None:
        sampler, problem = self.make_sampler(self.problem()), self.problem()
        sampler.start(self.n_trials, None)
        trials: list[Trial] = []
        while len(trials) < 4:
            answer = sampler.ask(trials, [trial.id for trial in trials], self.n_trials)
            if not isinstance(answer, Proposal):
                assert trials or answer == "done", 'nothing is running, and it says "wait"'
                break
            trials.append(_begun(trials, answer))
        assert len({trial.architecture.to_json() for trial in trials}) == len(trials)
        for i, trial in enumerate(trials):
            trials[i] = _finished(trial, problem, failed=False)
            sampler.tell(trials[i])

    def test_a_saved_state_goes_on_as_if_nothing_had_happened(self) -> None:
        half = self.n_trials // 2
        sampler = self.make_sampler(self.problem())
        trials = self.run(sampler, half)
        state = json.loads(json.dumps(sampler.save()))
        other = self.make_sampler(self.problem())
        if state is None:
            other.start(self.n_trials, None)
            for trial in trials:
                other.repeat(trial)
                other.tell(trial)
        else:
            other.restore(state)
        continued = [self.run(each, self.n_trials, trials) for each in (sampler, other)]
        assert [[t.architecture.to_json() for t in each] for each in continued[:1]] == [
            [t.architecture.to_json() for t in each] for each in continued[1:]
        ]

    def test_a_space_is_used_up_at_most_once(self) -> None:
        space = SearchSpace(
            family="gpt2", vocab_size=64, n_positions=32, n_layer=[1], d_model=[16], n_head=[1, 2], d_ff=[16, 32]
        )
        from lts._core import Search

        problem = problem_of(Search(space, _OBJECTIVES, (), "lts", 7), Imagined())
        trials = self.run(self.make_sampler(problem), 100)
        assert len(trials) <= space.size

    def run(self, sampler: Sampler, n: int, trials: Iterable[Trial] = (), *, fails: int | None = None) -> list[Trial]:
        """Ask for and tell trials until there are `n`; every `fails`-th one fails."""
        problem = self.problem()
        done = list(trials)
        sampler.start(n, None)
        while len(done) < n:
            answer = sampler.ask(done, [], n)
            if not isinstance(answer, Proposal):
                assert answer == "done", 'nothing is running, and it says "wait"'
                break
            trial = _begun(done, answer)
            done.append(trial)
            done[-1] = _finished(trial, problem, failed=fails is not None and len(done) % fails == 0)
            sampler.tell(done[-1])
        return done


class Imagined(Evaluator):
    """A device whose costs are a formula."""

    def evaluate(self, architecture: Architecture, columns: Iterable[str], timeout: float | None = None) -> Outcome:
        latency = 0.1 * architecture.n_layer + 1e-5 * decoder_params(architecture) + 1e-3 * sum(architecture.n_head)
        values = {"decoder_params": float(decoder_params(architecture)), "latency_ms": latency}
        return Outcome(values=values, provenance={"decoder_params": "exact", "latency_ms": "measured"})

    def describe(self) -> dict[str, str]:
        return {"device": "imagined"}


def _begun(trials: list[Trial], proposal: Proposal) -> Trial:
    return Trial(
        id=len(trials),
        state="running",
        architecture=proposal.architecture,
        predicted=dict(proposal.predicted),
        origin=proposal.origin,
    )


def _finished(trial: Trial, problem: Problem, *, failed: bool) -> Trial:
    if failed:
        return replace(trial, state="failed", error="it broke")
    outcome = Imagined().evaluate(trial.architecture, problem.columns)
    return replace(trial, **outcome.outcome(), state="complete", feasible=True)
