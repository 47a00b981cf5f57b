"""Members of a front that intervals tell apart."""

from __future__ import annotations

from typing import Any

import lts
from lts.measure.trial import Trial
from lts.study.distinct import distinct_front, front_notes, told_apart
from lts.study.front import Front, front_of
from lts.study.spread import restated

OBJECTIVES = [lts.parse_objective(text) for text in ("decoder_params:max", "latency_ms:min", "peak_memory_mib:min")]
SMALL = lts.Architecture("gpt2", vocab_size=100, n_positions=16, d_model=8, n_head=[2], d_ff=[16])


def trial_of(key: int, params: float, latency: float, memory: float, *, half: float = 0.02, **more: Any) -> Trial:
    """`half` is the relative half width of the latency's interval; that of the memory is 0.001."""
    return Trial(
        id=key,
        state="complete",
        architecture=SMALL,
        values={"decoder_params": params, "latency_ms": latency, "peak_memory_mib": memory},
        provenance={"decoder_params": "exact", "latency_ms": "measured", "peak_memory_mib": "measured"},
        interval={
            "latency_ms": (latency * (1 - half), latency * (1 + half)),
            "peak_memory_mib": (memory * 0.999, memory * 1.001),
        },
        feasible=True,
        **more,
    )


def front(*trials: Trial) -> Front:
    found = front_of(trials, OBJECTIVES, [])
    assert len(found) == len(trials), "all are members before intervals count"
    return told_apart(found)


def test_a_member_that_a_few_kib_keep_on_the_front_leaves_it() -> None:
    slow, fast = trial_of(0, 10, 74, 100.0), trial_of(1, 10, 55, 100.016)
    found = front(slow, fast)
    assert [t.id for t in found] == [1]
    assert not found.indistinguishable  # it is beaten


def test_of_two_that_cannot_be_told_apart_the_better_in_the_first_objective_stays() -> None:
    found = front(trial_of(0, 10.0, 50.0, 100.0), trial_of(1, 10.1, 50.5, 100.01))
    assert [t.id for t in found] == [1]
    assert found.indistinguishable == {0: 1}


def test_what_differs_beyond_the_intervals_stays() -> None:
    found = front(trial_of(0, 10, 50, 100), trial_of(1, 12, 55, 100.01), trial_of(2, 13, 55.1, 110))
    assert [t.id for t in found] == [2, 1, 0]


def test_neighbors_do_not_remove_each_other_in_a_chain() -> None:
    chain = [trial_of(i, 10 + i, 50 * 1.015**i, 100) for i in range(6)]
    found = front(*chain)
    # Each is like its neighbors: every second or third one stays, the best in the first objective among them.
    assert found[0].id == 5
    assert 2 <= len(found) < 6
    kept = {t.id for t in found}
    assert set(found.indistinguishable) == set(range(6)) - kept
    assert set(found.indistinguishable.values()) <= kept


def test_a_counted_objective_is_exact() -> None:
    """Better by any count is better: it has no interval."""
    objectives = [lts.parse_objective("latency_ms:min"), lts.parse_objective("decoder_params:max")]
    trials = [trial_of(0, 10, 50.0, 100), trial_of(1, 10.001, 50.1, 100)]
    assert len(told_apart(front_of(trials, objectives, []))) == 2


def test_without_further_processes_the_front_is_the_plain_one() -> None:
    trials = [trial_of(0, 10.0, 50.0, 100.0), trial_of(1, 10.1, 50.5, 100.01)]
    assert len(distinct_front(restated(trials), OBJECTIVES, [])) == 2
    assert front_notes(front_of(trials, OBJECTIVES, []), trials, []) == []


def test_notes_say_what_is_confirmed_and_what_is_not_shown() -> None:
    rounds = {"latency_ms": [50.0, 50.9, 50.4], "peak_memory_mib": [100.0, 100.01, 100.0]}
    trials = [trial_of(0, 10.0, 50.0, 100.0, rounds=rounds), trial_of(1, 9.9, 49.9, 100.0)]
    found = distinct_front(restated(trials), OBJECTIVES, [])
    notes = front_notes(found, trials, [])
    assert len(notes) == 2
    assert "confirmed in 3 processes or more: trial 0" in notes[0]
    assert "latency_ms" in notes[0]
    assert "trial 1 from 0" in notes[1]
