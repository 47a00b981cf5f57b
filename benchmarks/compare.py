"""How often `lts-engine compare` raises a false alarm, and how often it finds 10 % more work.

Run: python benchmarks/compare.py device [--comparisons 200] [--power 50] [--large 5] [--loaded [CORES]] [--save FILE]
     python benchmarks/compare.py simulated [--comparisons 2000] [--processes 12]

``device``: a GPT-2 of ten layers compared with itself, and ``--power`` times each with the same of eleven and of
thirteen, spread over the whole run: `latency_ms` on this machine, with the defaults of `lts-engine compare`. With
``--loaded`` another program keeps one core busy for half of the time, in stretches of 1 to 9 s; with ``--loaded 2`` two
cores at the same times. Then ``--large`` comparisons each of a model of about 20 ms, for the time that they take.

The same samples are then judged as many gates do: slower by more than 10 % in the mean of the samples, or slower by
Welch's t-test on the samples (p < 0.05), as if these were independent; from the first process of each side, and from
all that count. Once more with the time on the wall, which holds what a process waited for other programs.

Each comparison is appended to the file of ``--save`` at once, and the same command continues where it was interrupted.

``simulated``: the same procedure on made-up processes with a known difference. Their noise is normal, with the standard
deviation of the row; in the rows "disturbed", one process in ten takes 30 % more on average besides, exponentially
distributed; in the rows "in stretches", all take 10 % more for half of the time, 2 to 20 processes in a row. Here the
bound of the procedure can be seen, which no device shows in minutes.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

import lts
from lts.errors import MeasurementError
from lts.measure.compare import Answer
from lts.measure.evaluator import Evaluator
from lts.measure.interleaved import MOST, Run, interleave
from lts.measure.models.comparison import compare_architectures
from lts.measure.outcome import Outcome

METRIC = "latency_ms"
THRESHOLD, SIGNIFICANT = 0.10, 0.05
ITSELF, SLOWER, SLOWEST = "with itself", "with 10 % more", "with 30 % more"
LARGE, LARGE_SLOWER = "20 ms, with itself", "20 ms, with 10 % more"
FAILED = "not measured"
FEWER = 6  # processes per side, of a second answer on the same ones
GOALS = "goals: at most 2 of 200 false alarms; 45 of 50 found of 10 % more, all of 30 % more; 60 s for a model of 20 ms"
LOAD = """
import os, random, time
parent, generator = os.getppid(), random.Random(1)
while os.getppid() == parent:
    stretch = generator.uniform(1, 9)
    end = time.monotonic() + stretch
    while time.monotonic() < end:
        pass
    time.sleep(stretch)
"""


def gpt2(n_layer: int) -> lts.Architecture:
    return lts.Architecture("gpt2", 512, 128, 128, n_head=4, d_ff=512, n_layer=n_layer)


def gpt2_of_20_ms(n_layer: int) -> lts.Architecture:
    return lts.Architecture("gpt2", 512, 128, 320, n_head=5, d_ff=1280, n_layer=n_layer)


COMPARED = {
    ITSELF: (gpt2(10), gpt2(10)),
    SLOWER: (gpt2(10), gpt2(11)),
    SLOWEST: (gpt2(10), gpt2(13)),
    LARGE: (gpt2_of_20_ms(10), gpt2_of_20_ms(10)),
    LARGE_SLOWER: (gpt2_of_20_ms(10), gpt2_of_20_ms(11)),
}


def spread(comparisons: int, power: int, large: int) -> list[str]:
    """What is compared, in the order of time: the rarer ones evenly among those with itself."""
    small = {ITSELF: comparisons, SLOWER: power, SLOWEST: power}
    placed = [((i + 0.5) / n, name) for name, n in small.items() for i in range(n)]
    return [name for _, name in sorted(placed)] + [LARGE, LARGE_SLOWER] * large


def on_device(names: list[str], loaded: int, save: Path | None) -> list[dict[str, Any]]:
    """A record of each comparison; those in the file of `save` are not done again."""
    records = [] if save is None else saved(save)
    if any(record["loaded"] != loaded for record in records):
        raise SystemExit(f"compare: {save} was measured with another number of --loaded")
    done = Counter(record["compared"] for record in records)
    loads = [subprocess.Popen([sys.executable, "-c", LOAD]) for _ in range(loaded)]
    try:
        with lts.open_evaluator("host", device="local", n_prompt=64, n_gen=0) as evaluator:
            for number, name in enumerate(names, 1):
                if done[name] > 0:
                    done[name] -= 1
                    continue
                record = {"compared": name, "loaded": loaded, **compared(name, evaluator)}
                records.append(record)
                if save is not None:
                    with save.open("a", encoding="utf-8") as file:
                        file.write(json.dumps(record) + "\n")
                print(f"{number} of {len(names)}: {name}: {record['answer']}", file=sys.stderr, flush=True)
    finally:
        for load in loads:
            load.kill()
            load.wait()
    return records


def saved(path: Path) -> list[dict[str, Any]]:
    """What an earlier run has written; a line that it could not end is cut off."""
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        path.write_text(whole, encoding="utf-8")
    return [json.loads(line) for line in whole.splitlines()]


def compared(name: str, evaluator: Evaluator) -> dict[str, Any]:
    """One comparison: its answer, how long it took, and every process with its samples."""
    start = time.time()
    try:
        found = compare_architectures(*COMPARED[name], evaluator, [METRIC])
    except MeasurementError as error:
        return {"answer": FAILED, "error": str(error), "start": start, "seconds": time.time() - start}
    verdict = found.verdicts[METRIC]
    return {
        "answer": verdict.answer,
        "change": verdict.change,
        "change_interval": verdict.change_interval,
        "not_seen_again": bool(found.not_seen_again),
        "start": start,
        "seconds": time.time() - start,
        "processes": [
            {"side": side, "counts": counts, METRIC: outcome.values.get(METRIC), "samples_ns": outcome.samples_ns}
            for side, outcome, counts in found.processes
        ],
    }


def answer_with(record: dict[str, Any], most: int) -> Answer:
    """What the first of the same processes would have answered, with at most that many per side."""
    taken: dict[str, list[Outcome]] = {"baseline": [], "contender": []}
    for process in record["processes"]:
        value = process[METRIC]
        taken[process["side"]].append(
            Outcome(error="it failed")
            if value is None
            else Outcome(values={METRIC: value}, disturbed=not process["counts"])
        )
    baseline, contender = (iter(each) for each in taken.values())
    return interleave(lambda: next(baseline), lambda: next(contender), [METRIC], most=most).verdicts[METRIC].answer


def samples(record: dict[str, Any], side: str, first: bool, wall: bool) -> list[int]:
    """Of all processes of a side that count, or of its first one; in ns, on request with the time waited for others."""
    each = [process["samples_ns"] for process in record["processes"] if process["side"] == side and process["counts"]]
    chosen = each[:1] if first else each
    return [value for one in chosen for value in (one.get("latency_wall", one["latency"]) if wall else one["latency"])]


def above_threshold(baseline: list[int], contender: list[int]) -> bool:
    return bool(np.mean(contender) > (1 + THRESHOLD) * np.mean(baseline))


def t_test(baseline: list[int], contender: list[int]) -> bool:
    from scipy import stats

    p_value = stats.ttest_ind(contender, baseline, equal_var=False).pvalue
    return bool(p_value < SIGNIFICANT and np.mean(contender) > np.mean(baseline))


def rules() -> dict[str, Callable[[dict[str, Any]], bool]]:
    """By name, whether a gate would have failed on what a comparison measured."""
    found: dict[str, Callable[[dict[str, Any]], bool]] = {
        "lts-engine compare": lambda record: record["answer"] == Answer.regression,
        f"lts-engine compare --processes {FEWER}": lambda record: answer_with(record, FEWER) is Answer.regression,
    }
    for clock, wall in (("", False), (", on the wall", True)):
        for test, says in ((f"mean, {THRESHOLD:.0%}", above_threshold), ("t-test", t_test)):
            for taken, first in (("one process each", True), ("all processes", False)):
                found[f"{test}, {taken}{clock}"] = lambda record, says=says, first=first, wall=wall: says(
                    samples(record, "baseline", first, wall), samples(record, "contender", first, wall)
                )
    return found


def shown_share(k: int, n: int) -> str:
    """A count with the 95 % interval of Clopper and Pearson for its share."""
    from scipy import stats

    low, high = stats.binomtest(k, n).proportion_ci(method="exact")
    return f"{k} of {n} ({low:.1%} to {high:.1%})"


def print_found(records: list[dict[str, Any]]) -> None:
    by_name: dict[str, list[dict[str, Any]]] = {name: [] for name in COMPARED}
    for record in records:
        by_name[record["compared"]].append(record)
    for name, each in by_name.items():
        if not each:
            continue
        good = [record for record in each if record["answer"] != FAILED]
        print(f"{name}: {len(each)} comparisons: {answers(record['answer'] for record in each)}")
        if good:
            changes = [record["change"] for record in good]
            n = [len(record["processes"]) for record in good]
            seconds = [record["seconds"] for record in good]
            times = [p[METRIC] for r in good for p in r["processes"] if p["side"] == "baseline" and p["counts"]]
            again = sum(record["not_seen_again"] for record in good)
            print(
                f"  baseline {np.median(times):.1f} ms, processes differ by {noise(good):.1%}\n"
                f"  change {np.median(changes):+.1%} ({min(changes):+.1%} to {max(changes):+.1%}), "
                f"{again} regressions not seen again\n"
                f"  {np.mean(n):.1f} processes (at most {max(n)}), "
                f"{np.median(seconds):.1f} s (at most {max(seconds):.1f} s)"
            )
    shown = [name for name in (ITSELF, SLOWER, SLOWEST) if any(r["answer"] != FAILED for r in by_name[name])]
    print("\nHow often each says that it got worse, with 95 % intervals:")
    print(f"| | {' | '.join(shown)} |\n|---{'|---' * len(shown)}|")
    for rule, says in rules().items():
        cells = []
        for name in shown:
            good = [record for record in by_name[name] if record["answer"] != FAILED]
            cells.append(shown_share(sum(map(says, good)), len(good)))
        print(f"| {rule} | {' | '.join(cells)} |")
    print(GOALS)


def noise(records: list[dict[str, Any]]) -> float:
    """The standard deviation of a process from the mean of its side, relative, over all comparisons."""
    squares, freedom = 0.0, 0
    for record in records:
        for side in ("baseline", "contender"):
            values = [p[METRIC] for p in record["processes"] if p["side"] == side and p["counts"]]
            squares += float(np.var(np.log(values)) * len(values))
            freedom += len(values) - 1
    return (squares / freedom) ** 0.5


def made_up(generator: random.Random, deviation: float, disturbed: float, loaded: float) -> Callable[[float], Run]:
    """A machine, as a function that makes runs of what takes so long; its load is the same for all of them."""
    left, factor = 0, generator.choice((1.0, 1 + loaded))

    def taking(center: float) -> Run:
        def run() -> Outcome:
            nonlocal left, factor
            if left == 0:
                left, factor = generator.randint(2, 20), 1 + loaded if factor == 1 else 1.0
            left -= 1
            value = center * factor * np.exp(generator.gauss(0, deviation))
            if generator.random() < disturbed:
                value *= 1 + generator.expovariate(1 / 0.3)
            return Outcome(values={METRIC: value})

        return run

    return taking


def simulated(comparisons: int, most: int) -> None:
    generator = random.Random(1)
    for kind, disturbed, loaded in (("", 0.0, 0.0), (", disturbed", 0.1, 0.0), (", in stretches", 0.0, 0.1)):
        for deviation in (0.01, 0.02, 0.04, 0.08):
            for change in (0.0, 0.05, 0.1, 0.2, 0.3):
                found = []
                for _ in range(comparisons):
                    taking = made_up(generator, deviation, disturbed, loaded)
                    found.append(interleave(taking(1.0), taking(1.0 + change), [METRIC], most=most))
                n = np.mean([len(comparison.processes) for comparison in found])
                said = [comparison.verdicts[METRIC].answer for comparison in found]
                row = f"noise {deviation:.0%}{kind}"
                print(f"{row:24s} change {change:+4.0%}: {answers(said)}  {n:.1f} processes", flush=True)


def answers(found: Iterable[str]) -> str:
    counted = Counter(found)
    shown = [*Answer, *([FAILED] if counted[FAILED] else [])]
    return ", ".join(f"{counted[answer] / counted.total():.1%} {answer}" for answer in shown)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("device", "simulated"))
    parser.add_argument("--comparisons", type=int, help="with itself; default 200, simulated 2000")
    parser.add_argument("--power", type=int, default=50, help="with 10 %% more work, and as many with 30 %% more")
    parser.add_argument("--large", type=int, default=5, help="of a model of 20 ms, with itself and 10 %% more work")
    parser.add_argument(
        "--loaded", type=int, nargs="?", const=1, default=0, help="cores that are busy half of the time"
    )
    parser.add_argument("--processes", type=int, default=MOST, help="per side, at most, of simulated")
    parser.add_argument("--save", type=Path, help="what was measured, as JSON Lines; continued where it ends")
    given = parser.parse_args()
    if given.what == "device":
        if given.processes != MOST:
            parser.error("--processes is for simulated alone; device has the default of lts-engine compare")
        names = spread(200 if given.comparisons is None else given.comparisons, given.power, given.large)
        print_found(on_device(names, given.loaded, given.save))
    else:
        simulated(given.comparisons or 2000, given.processes)


if __name__ == "__main__":
    main()
