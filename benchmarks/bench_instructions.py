"""What executed instructions, counted in an emulator, say about models for an Arm processor.

Run: python benchmarks/bench_instructions.py [--models 15] [--tokens 16] [--records FILE]
     python benchmarks/bench_instructions.py --against-default
     python benchmarks/bench_instructions.py --precisions
     python benchmarks/bench_instructions.py --gate [--runs 20]

The first ranks published architectures by the instructions of their prompt pass, compiled for the target by TVM, and
compares with their published latencies on an Arm device (LiteTransformerSearch, GPT-2 on LM1B): Spearman's rank
correlation. The published prompts have 192 tokens, which take an emulator many minutes a model; with the default of
16, the same layers do the same work on fewer rows. Records are kept in a file, so that the same command resumes after
an interruption. The table is in $LTS_DATA/lts or ../shared/data/lts, or given with --table.

The second compares our schedules with TVM's default ones, for models whose time is that of matrix products: executed
instructions, and the outputs of both with ONNX Runtime's.

The third compares int8 and int4 with float32 in models whose time is that of matrix products, for a processor with dot
products of integers and one without: executed instructions of a prompt pass and of a decode step.

The fourth is what a gate in CI rests on. One model is exported, compiled and counted anew ``--runs`` times while
nothing of ours runs beside it, and as often beside a busy program for each core: all must find the same number. Then
the same model with a feed-forward that is 1 % wider, which `lts-engine compare` must call a regression with its default
bound, and the same model by schedules with one number changed: 16 instead of 20 registers for the sums of a tile.

All need TVM, qemu-user and a cross compiler: pip install 'lts-engine[tvm]';
apt-get install qemu-user g++-aarch64-linux-gnu
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

import lts
from lts.backends.backend import load_backend
from lts.backends.reference import Reference
from lts.devices.device import Device, open_device
from lts.errors import LtsError
from lts.jobs.job import MANIFEST, RunnerJob
from lts.measure.candidate import export_pooled, measure
from lts.measure.compare import Answer, Metric, Verdict, verdict
from lts.measure.models.comparison import compare_architectures
from lts.system import machine
from lts.system.environment import environment_hash
from lts.targets.target import Target
from lts.targets.workload import Step, Workload

TABLE = "pareto_gpt2_lm1b_arm.csv"
FEWEST = 10.0  # times fewer instructions than with the default schedules
# Times fewer instructions than in float32, at least, by processor, precision and phase.
GOALS = {
    ("cortex-a76", "int8", "prefill"): 2.5,
    ("cortex-a76", "int8", "decode"): 1.0,
    ("cortex-a76", "int4", "decode"): 1.0,
    ("cortex-a72", "int8", "decode"): 1.0,
    ("cortex-a72", "int4", "decode"): 1.0,
}
TIMEOUT = 7200.0
BUSY = """
import os
parent = os.getppid()
while os.getppid() == parent:
    pass
"""


def table_path(given: Path | None) -> Path:
    """The published table; ends the program with 0 where there is none."""
    base = Path(os.environ.get("LTS_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
    places = [given] if given is not None else [base / TABLE, base / "lts" / TABLE]
    for path in places:
        if path.is_file():
            return path
    print(f"skipped: {TABLE} is not in {base / 'lts'}; set LTS_DATA to the folder that holds it, or give --table")
    sys.exit(0)


def published(path: Path, tokens: int) -> list[tuple[str, lts.Architecture, float]]:
    """Key, architecture and latency in ms of every row, by latency; the architectures have `tokens` positions."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    found = []
    for row in rows:
        architecture = lts.Architecture(
            "gpt2",
            vocab_size=int(row["n_token"]),
            n_positions=max(int(row["tgt_len"]), tokens),
            d_model=int(row["d_model"]),
            n_layer=int(row["n_layer"]),
            n_head=json.loads(row["n_head"]),
            d_ff=json.loads(row["d_inner"]),
            d_embed=int(row["d_embed"]),
            div_val=int(row["div_val"]),
            cutoffs=json.loads(row["cutoffs"]),
            tie_projs=json.loads(row["tie_projs"]),
        )
        found.append((row["key"], architecture, float(row["latency"])))
    return sorted(found, key=lambda entry: entry[2])


def spearman(x: list[float], y: list[float]) -> float:
    """Rank correlation; equal values share the mean of their ranks."""

    def ranks(values: list[float]) -> Any:
        _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
        ends = np.cumsum(counts)
        return (ends - (counts - 1) / 2)[inverse]

    return float(np.corrcoef(ranks(x), ranks(y))[0, 1])


def against_published(arguments: argparse.Namespace, target: Target) -> int:
    rows = published(table_path(arguments.table), arguments.tokens)
    n = min(arguments.models, len(rows))
    chosen = [rows[round(i * (len(rows) - 1) / max(1, n - 1))] for i in range(n)]
    compiler, emulated, reference = load_backend("tvm"), open_device("emulated"), Reference()
    try:
        emulated.check(target)
        environment = environment_hash(emulated.environment(1))
        done = {}
        if arguments.records.is_file():
            for line in arguments.records.read_text(encoding="utf-8").splitlines():
                record = json.loads(line)
                if (record["tokens"], record["environment"]) == (arguments.tokens, environment):
                    done[record["key"]] = record
        with tempfile.TemporaryDirectory() as folder:

            def one(entry: tuple[str, lts.Architecture, float]) -> dict[str, Any]:
                key, architecture, latency = entry
                if key in done:
                    return done[key]
                start = time.monotonic()
                found = measure(
                    architecture,
                    target,
                    emulated,
                    compiler,
                    costs=["instructions"],
                    workload=Workload(arguments.tokens, 0, logits="all"),
                    timeout=TIMEOUT,
                    workdir=Path(folder),
                    reference=reference,
                )
                record = {
                    "key": key,
                    "tokens": arguments.tokens,
                    "environment": environment,
                    "latency_ms": latency,
                    **found.values,
                    "decoder_params": lts.decoder_params(architecture),
                    "flops_prefill": lts.analytic("flops_prefill", architecture, n_prompt=arguments.tokens),
                    "seconds": round(time.monotonic() - start, 1),
                    "error": found.error,
                }
                if found.error is None:
                    arguments.records.parent.mkdir(parents=True, exist_ok=True)
                    with arguments.records.open("a", encoding="utf-8") as file:
                        file.write(json.dumps(record) + "\n")
                return record

            with ThreadPoolExecutor(arguments.jobs or emulated.parallel) as pool:
                records = []
                for record in pool.map(one, chosen):
                    print(line_of(record), flush=True)
                    records.append(record)
    finally:
        for held in (emulated, compiler, reference):
            held.close()
    return summary(records, arguments.tokens)


def line_of(record: dict[str, Any]) -> str:
    if record["error"] is not None:
        return f"{record['key']:>4}: {record['error']}"
    return (
        f"{record['key']:>4}: published {record['latency_ms']:7.1f} ms, {record['decoder_params'] / 1e6:6.1f} M "
        f"decoder parameters, {record['instructions'] / 1e6:8.1f} M instructions, "
        f"output error {record['output_error']:.1e}, {record['seconds']:.0f} s"
    )


def summary(records: list[dict[str, Any]], tokens: int) -> int:
    good = [record for record in records if record["error"] is None]
    if len(good) < 3:
        print("too few models ran")
        return 1
    latency = [record["latency_ms"] for record in good]
    print(f"Spearman with the published latencies (192 tokens), {len(good)} models, {tokens} tokens here:")
    for name in ("instructions", "flops_prefill", "decoder_params"):
        print(f"  {name}: {spearman([record[name] for record in good], latency):.4f}")
    wall = [record["seconds"] for record in good]
    print(f"seconds a model: median {np.median(wall):.0f}, most {max(wall):.0f}")
    return 0 if len(good) == len(records) else 1


def build_default(model: Path, folder: Path, target: Target, step: Step) -> None:
    """Compile with TVM's default pipeline, its schedules included, into a folder as the backend makes it."""
    import tvm

    from lts.backends.tvm import compile as ours
    from lts.backends.tvm.llvm_target import tvm_target
    from lts.backends.tvm.onnx_model import fixed_model

    ours.build(str(model), str(folder), asdict(target), step.phase, step.dims, step.vocab_size)
    goal = tvm_target(target)
    with goal:
        executable = tvm.compile(ours.import_model(fixed_model(model, step.dims))[0], goal)
    executable.export_library(str(folder / "model.so"), fcompile=tvm.support.cc.cross_compiler(f"{target.triple}-g++"))
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    manifest["prepare"] = None
    (folder / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")


def instructions(emulated: Device, job: RunnerJob) -> int:
    """Instructions of one run, whose output must be correct."""
    result = emulated.run(job, TIMEOUT)
    if result.error is not None:
        raise SystemExit(f"the model does not run: {result.error}")
    assert result.value["correct"], result.value["output_error"]
    count: int = result.value["instructions"]
    return count


def against_default(arguments: argparse.Namespace, target: Target) -> int:
    tokens = arguments.tokens
    shapes = [
        ("gpt2", {"d_model": 256, "n_layer": 2, "n_head": 4, "d_ff": 1024}),
        ("gpt2", {"d_model": 384, "n_layer": 1, "n_head": 6, "d_ff": 1536}),
        ("llama", {"d_model": 256, "n_layer": 2, "n_head": 4, "n_kv_head": 2, "d_ff": 768}),
    ]
    compiler, emulated, reference = load_backend("tvm"), open_device("emulated"), Reference()
    worst = float("inf")
    try:
        emulated.check(target)
        for family, shape in shapes:
            architecture = lts.Architecture(family, vocab_size=512, n_positions=tokens, **shape)
            step = Step.of(architecture, "prefill", tokens)
            with tempfile.TemporaryDirectory() as name:
                folder = Path(name)
                model = export_pooled(architecture, "prefill", folder, Workload(logits="all"))
                expected = reference.write(model, step)
                counts = []
                for default in (False, True):
                    if default:
                        built = folder / "default"
                        build_default(model, built, target, step)
                    else:
                        built = compiler.build(model, target, step, TIMEOUT)
                    job = compiler.job(built, step, threads=1, min_time=0.0, min_repeats=2)
                    assert isinstance(job, RunnerJob)
                    counts.append(instructions(emulated, reference.attach(job, expected)))
            ours, theirs = counts
            worst = min(worst, theirs / ours)
            print(
                f"{family} {shape}, {tokens} tokens: {ours / 1e6:.1f} M instructions, with the default schedules "
                f"{theirs / 1e6:.1f} M: {theirs / ours:.1f} times fewer",
                flush=True,
            )
    finally:
        for held in (emulated, compiler, reference):
            held.close()
    print(f"least: {worst:.1f} times fewer; expected at least {FEWEST:.0f}")
    return 0 if worst >= FEWEST else 1


def of_precisions(arguments: argparse.Namespace) -> int:
    tokens = arguments.tokens
    architectures = [
        lts.Architecture("gpt2", 512, 2 * tokens, 512, n_head=[8] * 2, d_ff=[2048] * 2),
        lts.Architecture("gpt2", 512, 2 * tokens, 384, n_head=[6] * 3, d_ff=[1536] * 3),
        lts.Architecture("llama", 512, 2 * tokens, 512, n_head=[8] * 2, n_kv_head=[4] * 2, d_ff=[1408] * 2),
    ]
    missed = False
    for cpu in ("cortex-a76", "cortex-a72"):
        ratios: dict[tuple[str, str], list[float]] = {}
        for architecture in architectures:
            counts = {p: counted(architecture, cpu, p, tokens) for p in ("float32", "int8", "int4")}
            for precision, values in counts.items():
                for phase, count in values.items():
                    ratios.setdefault((precision, phase), []).append(counts["float32"][phase] / count)
            print(f"{cpu}: {architecture.family} {architecture.n_layer} x {architecture.d_model}, {tokens} tokens,")
            for precision, values in counts.items():
                shown = ", ".join(f"{phase} {count / 1e6:.2f} M" for phase, count in values.items())
                print(f"  {precision}: instructions of {shown}", flush=True)
        for (precision, phase), found in ratios.items():
            goal = GOALS.get((cpu, precision, phase))
            if precision != "float32":
                said = "no goal" if goal is None else f"goal: at least {goal}"
                print(f"{cpu}: {precision} {phase}: {min(found):.2f} to {max(found):.2f} times fewer ({said})")
            missed |= goal is not None and min(found) < goal
    return int(missed)


def counted(architecture: lts.Architecture, cpu: str, precision: str, tokens: int) -> dict[str, float]:
    """Instructions of both phases, whose outputs must be right."""
    target = Target(cpu, "aarch64-linux-gnu", cpu, 4, precision=precision)
    compiler, emulated, reference = load_backend("tvm"), open_device("emulated"), Reference(precision)
    try:
        with tempfile.TemporaryDirectory() as folder:
            found = measure(
                architecture,
                target,
                emulated,
                compiler,
                workload=Workload(tokens, 2, precision=precision),
                timeout=TIMEOUT,
                workdir=Path(folder),
                reference=reference,
            )
    finally:
        for held in (emulated, compiler, reference):
            held.close()
    if found.error is not None:
        raise SystemExit(f"{precision} for {cpu}: {found.error}")
    return {"prefill": found.values["instructions"], "decode": found.values["decode_instructions"]}


@contextmanager
def busy() -> Iterator[None]:
    """Every core has a program that never waits, while the block runs."""
    programs = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in machine.allowed_cpus()]
    try:
        yield
    finally:
        for program in programs:
            program.kill()
            program.wait()


def for_a_gate(arguments: argparse.Namespace, target: Target) -> int:
    tokens = arguments.tokens
    model, wider = (lts.Architecture("gpt2", 512, tokens, 256, n_head=4, d_ff=d_ff, n_layer=2) for d_ff in (800, 808))
    counts = {"idle": [counted_anew(model, target, tokens) for _ in range(arguments.runs)]}
    with busy():
        counts["busy"] = [counted_anew(model, target, tokens) for _ in range(arguments.runs)]
    for load, found in counts.items():
        numbers = " or ".join(f"{number:,}" for number in sorted(set(found)))
        print(f"{load}: {len(found)} runs, {numbers} instructions", flush=True)
    all_same = len({number for found in counts.values() for number in found}) == 1
    with lts.open_evaluator(target, device="emulated", n_prompt=tokens, n_gen=0) as evaluator:
        shown = compare_architectures(model, wider, evaluator, ["instructions"]).verdicts["instructions"]
    print(f"feed-forward of 808 instead of 800: {text_of(shown)}", flush=True)
    before, after = (count_scheduled(model, target, tokens, accumulators) for accumulators in (None, 16))
    changed = verdict(Metric.named("instructions"), [before], [after])
    print(f"sums in 16 registers instead of 20: {text_of(changed)}")
    expected = all_same and shown.answer is Answer.regression and after != before
    print("as expected" if expected else "not as expected")
    return int(not expected)


def text_of(found: Verdict) -> str:
    change = f"{found.baseline.value:,.0f} to {found.contender.value:,.0f} instructions, {found.change:+.3%}"
    return f"{change}: {found.answer} with the bound {found.max_regression:.0%}"


def counted_anew(model: lts.Architecture, target: Target, tokens: int) -> int:
    """Instructions of a prompt pass in fixed sizes, by a new device: nothing is left of an earlier run."""
    load, emulated, compiler = Workload(tokens, n_gen=0), open_device("emulated"), load_backend("tvm")
    with closing(emulated), closing(compiler):
        options = {"costs": ["instructions"], "workload": load, "timeout": TIMEOUT, "export": export_pooled}
        found = measure(model, target, emulated, compiler, **options)
    if found.error is not None:
        raise SystemExit(f"the model cannot be counted: {found.error}")
    return int(found.values["instructions"])


def count_scheduled(model: lts.Architecture, target: Target, tokens: int, accumulators: int | None) -> int:
    """Instructions of a prompt pass, by our schedules, on request with another number of registers for sums."""
    from lts.backends.tvm import compile as ours

    original = ours.tiles_of
    compiler, emulated, reference = load_backend("tvm"), open_device("emulated"), Reference()
    step = Step.of(model, "prefill", tokens)
    try:
        if accumulators is not None:
            ours.tiles_of = lambda goal, threads=1: replace(original(goal, threads), accumulators=accumulators)
        emulated.check(target)
        with tempfile.TemporaryDirectory() as name:
            built = Path(name) / "built"
            file = export_pooled(model, "prefill", Path(name), Workload())
            ours.build(str(file), str(built), asdict(target), step.phase, step.dims, step.vocab_size)
            job = compiler.job(built, step, threads=1, min_time=0.0, min_repeats=2)
            assert isinstance(job, RunnerJob)
            return instructions(emulated, reference.attach(job, reference.write(file, step)))
    finally:
        ours.tiles_of = original
        for held in (emulated, compiler, reference):
            held.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--against-default", action="store_true", help="compare with TVM's default schedules")
    parser.add_argument("--precisions", action="store_true", help="compare int8 and int4 with float32")
    parser.add_argument("--gate", action="store_true", help="whether counts are the same under load, and show changes")
    parser.add_argument("--runs", type=int, default=20, help="of --gate, under each load")
    parser.add_argument("--models", type=int, default=15, help="published architectures, spread over their latencies")
    parser.add_argument("--tokens", type=int, help="tokens of the prompt; default 16, in comparisons 64")
    parser.add_argument("--cpu", default="cortex-a72", help="processor, by the name of LLVM and qemu")
    parser.add_argument("--table", type=Path, help="the published table")
    parser.add_argument("--records", type=Path, default=Path("build/bench_instructions.jsonl"))
    parser.add_argument("--jobs", type=int, help="models at the same time; default: one per processor")
    arguments = parser.parse_args()
    if arguments.tokens is None:
        arguments.tokens = 64 if arguments.against_default or arguments.precisions else 16
    target = Target(name=arguments.cpu, triple="aarch64-linux-gnu", cpu=arguments.cpu, cores=4)
    try:
        if arguments.gate:
            return for_a_gate(arguments, target)
        if arguments.precisions:
            return of_precisions(arguments)
        return against_default(arguments, target) if arguments.against_default else against_published(arguments, target)
    except LtsError as error:
        print(f"bench_instructions: {error}", file=sys.stderr)
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
