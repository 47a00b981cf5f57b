"""The report: what it shows, that it needs no network, and that it is written whole or not at all."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from browser import Chromium
from pages import NASTY, Page, asks_for_nothing, known_to_plotly
from studies import DEFAULT, bounded, failed, store_of, trial_of

from lts import SearchSpace
from lts.errors import UsageError
from lts.measure.trial import Trial
from lts.report import write_report
from lts.report.agreement_charts import fitted_line
from lts.report.contents import read
from lts.report.figures import axes
from lts.report.page import document
from lts.spaces.space import load_space
from lts.study.front import Front
from lts.study.store import Store
from lts.system.text import flattened, listed, magnitude, number, plural, runs, spelled_duration, unit

pytest.importorskip("plotly")

NASTY_NAME = "a&lt;\"'b"  # of a column that is optimized; those have no spaces and no < or >


@pytest.fixture(scope="module")
def space() -> SearchSpace:
    return load_space("gpt2-tiny")


@pytest.fixture(scope="module")
def study(space: SearchSpace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study with everything: front, dominated, infeasible, failed and unfinished trials, warnings."""
    limit = "peak_memory_mib<=5.5"
    trials = [bounded(trial_of(space, key), limit) for key in range(60)]
    trials[5] = replace(trials[5], warnings=["the clock changed", "few samples"])
    trials[6] = replace(trials[6], warnings=["the clock changed"])
    trials[10] = failed(trials[10], "the build timed out")
    trials[11] = failed(trials[11], "the build timed out")
    trials[12] = failed(trials[12], "out of memory")
    trials[59] = Trial(id=59, state="running", architecture=trials[59].architecture)
    return store_of(tmp_path_factory.mktemp("study") / "study.db", trials, space=space, constraints=(limit,))


def text_of(store: Path) -> str:
    out = store.parent / "report.html"
    write_report(store, out)
    return out.read_text(encoding="utf-8")


def page_of(store: Path) -> Page:
    return Page(text_of(store))


@pytest.fixture(scope="module")
def text(study: Path) -> str:
    return text_of(study)


@pytest.fixture(scope="module")
def page(text: str) -> Page:
    return Page(text)


# content


def test_the_summary_says_how_the_study_was_made(page: Page) -> None:
    visible = page.visible
    for phrase in (
        "Pareto front of gpt2-tiny for host",
        "algorithm lts · seed 7 · 2026-11-20 19:00 to 19:00 UTC",
        "gpt2-tiny, family gpt2, 516 architectures",
        "d_model 32, 64",
        "threads\n4",
        "precision\nfloat32",
        "seed\n7",
        "algorithm\nlts",
        "56 complete, 3 failed, 1 unfinished",
        "2026-11-20 19:00:00 to 2026-11-20 19:00:58 UTC, 58 s from the first finished trial to the last",
        "1 trial had not finished when this was written",
        "peak_memory_mib<=5.5 (MiB, measured on local)",
        "exact: counted from the architecture; measured: run and timed on the device; estimated: calculated",
    ):
        assert phrase in visible, phrase


def test_the_head_says_what_was_measured(page: Page, space: SearchSpace, tmp_path: Path) -> None:
    said = page.visible[: page.visible.index("on the front\n")]
    for name, value in (
        ("device", "local"),
        ("backend", "onnxruntime"),
        ("target", "host"),
        ("precision", "float32"),
        ("prompt", "128 tokens"),
        ("generated", "nothing: the prompt pass alone"),
        ("batch", "1"),
        ("logits", "of all positions"),
        ("threads", "4"),
        ("weights", "random"),
    ):
        assert f"\n{name}\n{value}\n" in said, name
    about = {"n_gen": 32, "logits": "last", "batch": 2, "precision": "int8", "threads": 1, "weights": "trained"}
    visible = page_of(store_of(tmp_path / "study.db", [trial_of(space, 0)], space=space, **about)).visible
    for text in ("generated\n32 tokens", "logits\nof the last position", "batch\n2", "int8", "weights\ntrained"):
        assert text in visible
    trial = trial_of(space, 0)
    nothing = replace(trial, provenance=dict.fromkeys(trial.values, "estimated"))
    assert "none: nothing was run" in page_of(store_of(tmp_path / "none.db", [nothing], space=space)).visible


def test_every_trial_is_in_the_explorer_with_its_values(page: Page, study: Path) -> None:
    with Store(study) as store:
        trials = store.trials()
    found = page.data["explorer"]
    table = found["trials"]
    assert table["id"] == [trial.id for trial in trials]
    states = [table["state"]["texts"][place] for place in table["state"]["of"]]
    assert states == [trial.state for trial in trials]
    for name, values in table["values"].items():
        assert values == [trial.values.get(name) for trial in trials]
    ends = zip(table["low"]["latency_ms"], table["high"]["latency_ms"], strict=True)
    assert [None if low is None else (low, high) for low, high in ends] == [
        t.interval.get("latency_ms") for t in trials
    ]
    assert len(found["front"]) == len(read(study).front)
    assert table["id"][found["knee"]] == read(study).front.knee().id


def test_every_member_of_the_front_is_in_the_table_with_its_values(page: Page, study: Path) -> None:
    from lts.study.stored import stored_front

    rows = [attributes.get("data-value") for tag, attributes in page.elements if tag == "td"]
    for trial in stored_front(study):
        at = rows.index(str(trial.id))
        for offset, name in enumerate(("decoder_params", "latency_ms", "peak_memory_mib"), start=1):
            assert float(rows[at + offset] or "nan") == trial.values[name]
    for heading in (
        "decoder_params\nparameters, exact",
        "latency_ms\nms, measured on local",
        "peak_memory_mib\nMiB, measured on local",
        "peak_memory_estimate_mib\nMiB, estimated",
        "flops_prefill\noperations, estimated",
    ):
        assert heading in page.visible


def test_charts_have_units_provenance_and_goal_on_their_axes(page: Page) -> None:
    columns = {column["name"]: column for column in page.data["explorer"]["columns"]}
    assert columns["latency_ms"] == {
        "name": "latency_ms",
        "unit": "ms",
        "label": "ms, measured on local",
        "goal": "min",
    }
    assert columns["decoder_params"]["label"] == "parameters, exact"
    for key, x, y in (
        ("memory", "MiB, estimated", "MiB, measured on local"),
        ("latency", "operations, estimated", "ms, measured on local"),
    ):
        layout = page.figures[key]["layout"]
        assert x in layout["xaxis"]["title"]["text"]
        assert y in layout["yaxis"]["title"]["text"]


def test_measurements_are_compared_with_estimates(page: Page, study: Path) -> None:
    with Store(study) as store:
        values = [trial.values for trial in store.trials() if trial.state == "complete"]
    ratios = sorted(v["peak_memory_mib"] / v["peak_memory_estimate_mib"] for v in values)
    assert f"{(ratios[27] + ratios[28]) / 2:.3g} times its estimate" in page.visible
    line = page.figures["latency"]["data"][0]
    assert line["name"].startswith("least squares, R² 0.9")
    assert line["y"][1] > line["y"][0] > 0


def test_the_hypervolume_never_falls(page: Page) -> None:
    (line,) = page.figures["hypervolume"]["data"]
    assert line["y"] == sorted(line["y"])
    assert line["x"][0] == 0
    assert line["x"][-1] == 59
    assert all(a < b for a, b in itertools.pairwise(line["y"][:-1])), "a line of steps needs no points between"
    assert f"At the end {line['y'][-1]:.4f}" in page.visible


def test_time_failures_warnings_and_environments(page: Page) -> None:
    visible = page.visible
    assert re.search(r"1 min \d+ s in 59 finished trials, measured", visible)
    for phase in ("run", "build", "export"):
        assert f"\n{phase}\n" in visible
    assert "3 failed trials" in visible
    assert re.search(r"2\nthe build timed out\n10, 11\n1\nout of memory\n12", visible)
    assert "3 warnings" in visible
    assert re.search(r"2\nthe clock changed\n5, 6\n1\nfew samples\n5", visible)
    described = "c0ffee12 59 trials cpu.cores 4 cpu.name Cortex-A72 load 0.1, 0.2 turbo unknown"
    assert described in " ".join(visible.split())


def test_several_environments_are_a_warning(space: SearchSpace, tmp_path: Path) -> None:
    trials = [replace(trial_of(space, key), environment=f"environment-{key % 2}") for key in range(6)]
    visible = page_of(store_of(tmp_path / "study.db", trials, space=space)).visible
    assert "The trials come from more than one environment" in visible
    assert "Not described in the store." in visible


def test_a_column_of_two_kinds_is_labelled_value_by_value(space: SearchSpace, tmp_path: Path) -> None:
    trials = [trial_of(space, key) for key in range(8)]
    for key in range(4):
        trials[key] = replace(trials[key], provenance={**trials[key].provenance, "latency_ms": "predicted"})
    page = page_of(store_of(tmp_path / "study.db", trials, space=space))
    assert "latency_ms\nms, measured or predicted on local" in page.visible
    assert re.search(r" to [\d.]+, (predicted|measured)\n", page.visible)


def test_figures_are_what_plotly_knows(page: Page) -> None:
    assert set(page.figures) == {"hypervolume", "memory", "latency"}
    known_to_plotly(page)


def test_predictions_are_compared_with_what_was_measured(space: SearchSpace, tmp_path: Path) -> None:
    trials = [trial_of(space, key) for key in range(20)]
    for key in range(8, 20):
        value = trials[key].values["latency_ms"]
        low, high = (0.5, 0.9) if key == 9 else (0.9, 1.2)
        trials[key] = replace(trials[key], predicted={"latency_ms": (1.1 * value, low * value, high * value)})
    store = store_of(tmp_path / "study.db", trials, space=space, surrogate="additive")
    with Store(store, writable=True) as writing:
        writing.write(meta={"notes": ["latency_ms: the device changed speed <twice>"]})
    page = page_of(store)
    assert "Chosen by predictions from earlier trials, and then measured: 12 trials" in " ".join(page.visible.split())
    assert "11 of 12" in page.visible
    assert "9.09%" in page.visible
    assert "the device changed speed <twice>" in page.visible
    assert page.points("residual-0", "measured") == 12
    assert "surrogate additive" in page.visible
    without = page_of(store_of(tmp_path / "other.db", trials[:8], space=space))
    assert "Predictions" not in without.visible


# offline, and safe


def test_only_our_own_scripts_may_run(page: Page) -> None:
    sources = re.search(r"script-src ([^;]*);", page.policy)
    assert sources is not None
    hashes = {f"'sha256-{base64.b64encode(hashlib.sha256(each.encode()).digest()).decode()}'" for each in page.scripts}
    assert set(sources[1].split()) == hashes
    assert len(hashes) == len(page.scripts) >= 2


@pytest.mark.parametrize("field", ["id", "environment", "lts_version", "error", "deployed", "provenance"])
def test_no_field_of_a_trial_is_markup(space: SearchSpace, tmp_path: Path, field: str) -> None:
    store = store_of(tmp_path / "study.db", [trial_of(space, key) for key in range(8)], space=space)
    contents = read(store)
    nasty = dict.fromkeys(DEFAULT[1].split(":")[:1], NASTY) if field == "provenance" else NASTY
    wrong = [replace(trial, **{field: nasty}) for trial in contents.trials]  # as no store of ours has it
    by_id = {trial.id: changed for trial, changed in zip(contents.trials, wrong, strict=True)}
    front = Front([by_id[trial.id] for trial in contents.front], contents.front.objectives)
    text = document(replace(contents, trials=wrong, front=front), "")
    assert "<script>alert" not in text
    assert "<b x=" not in text


def test_nothing_is_fetched(text: str, page: Page) -> None:
    assert len(page.scripts[0]) > 1e6, "plotly.js is in the page"
    assert len(text) < 3e6, "compressed"
    asks_for_nothing(text, page)
    # plotly.js 4 has a button that sends the data of a chart to a server, unless told otherwise.
    assert "showSendToCloud: false" in page.scripts[-1]


def test_the_same_study_is_the_same_page(text: str, study: Path) -> None:
    written = re.compile(r"Written [^<]* UTC")
    assert written.sub("", text_of(study)) == written.sub("", text)


def test_strings_from_the_store_are_escaped(space: SearchSpace, tmp_path: Path) -> None:
    options = space.options
    options["name"] = NASTY
    nasty_space = SearchSpace(**options)
    trials = [trial_of(nasty_space, key) for key in range(8)]
    trials = [
        replace(
            trial,
            values={**trial.values, NASTY_NAME: 1.0 + trial.id, NASTY: 2.0},
            provenance={**trial.provenance, NASTY_NAME: "measured"},
            warnings=[NASTY],
            seconds={NASTY: 1.0},
            environment=NASTY,
            lts_version=NASTY,
        )
        for trial in trials
    ]
    trials[3] = failed(trials[3], NASTY)
    store = store_of(
        tmp_path / "study.db",
        trials,
        space=nasty_space,
        objectives=(*DEFAULT, f"{NASTY_NAME}:min"),
        constraints=(f"{NASTY_NAME}<=1000",),
        environments={NASTY: {NASTY: [NASTY]}},
        target=NASTY,
        device=NASTY,
        backend=NASTY,
        algorithm_options={NASTY: NASTY},
        custom={NASTY: {NASTY: NASTY}},
    )
    text = text_of(store)
    assert "<script>alert" not in text
    page = Page(text)
    assert text.count("<script") == len(page.scripts) + len(page.data)
    assert page.visible.count(NASTY) > 15
    assert page.visible.count(NASTY_NAME) >= 5
    assert not any("x" in attributes for _, attributes in page.elements)
    # Plotly has a markup of its own.
    shown = json.dumps(page.figures)
    assert "alert(1)" in shown
    assert "<script" not in shown
    assert "<b x" not in shown


# every kind of study


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["a"], (None, "a")),
        (["a", "b"], ("b", "a")),
        (["a", "b", "latency_ms"], ("latency_ms", "a")),
        (["latency_ms", "b", "c"], ("b", "latency_ms")),
    ],
)
def test_axes(names: list[str], expected: tuple[str | None, str]) -> None:
    assert axes(names) == expected


@pytest.mark.parametrize("n", range(1, 7))
def test_any_number_of_objectives_with_any_names(space: SearchSpace, tmp_path: Path, n: int) -> None:
    names = ["quality", "tokens_per_s", "energy_mj", "größe", "cost_€", "sixth"][:n]
    objectives = tuple(f"{name}:{'max' if i % 2 == 0 else 'min'}" for i, name in enumerate(names))
    trials = []
    for key in range(20):
        values = {name: float((key * (i + 3)) % 11) - 3 for i, name in enumerate(names)}
        trials.append(replace(trial_of(space, key), values=values, provenance=dict.fromkeys(names, "measured")))
    page = page_of(
        store_of(tmp_path / "study.db", trials, space=space, objectives=objectives, device="function", backend="f")
    )
    assert set(page.figures) == {"hypervolume"}
    assert page.data["explorer"]["objectives"] == names
    for name in names:
        assert name in page.visible
    assert "Measured against estimated" not in page.visible


def test_a_study_without_trials(space: SearchSpace, tmp_path: Path) -> None:
    page = page_of(store_of(tmp_path / "study.db", [], space=space))
    assert page.figures == {}
    assert "The front is empty: no trial is complete yet." in page.visible
    assert "no values yet" in page.visible


def test_a_study_of_failures(space: SearchSpace, tmp_path: Path) -> None:
    trials = [failed(trial_of(space, key), f"reason {key}") for key in range(3)]
    page = page_of(store_of(tmp_path / "study.db", trials, space=space))
    assert page.figures == {}
    assert "The front is empty" in page.visible
    assert all(f"reason {key}" in page.visible for key in range(3))


def test_a_study_of_infeasible_trials(space: SearchSpace, tmp_path: Path) -> None:
    trials = [bounded(trial_of(space, key), "latency_ms<=0") for key in range(5)]
    page = page_of(store_of(tmp_path / "study.db", trials, space=space, constraints=("latency_ms<=0",)))
    assert "no trial satisfies the constraints" in page.visible
    assert page.data["explorer"]["trials"]["feasible"] == [False] * 5
    assert page.data["explorer"]["front"] == []
    assert "hypervolume" not in page.figures


def test_a_front_of_one(space: SearchSpace, tmp_path: Path) -> None:
    page = page_of(store_of(tmp_path / "study.db", [trial_of(space, 0)], space=space))
    assert page.data["explorer"]["front"] == [0]
    assert "knee" not in page.visible.replace("at the knee", "")
    assert "latency" not in page.figures, "one point has no line"


def test_equal_values_everywhere(space: SearchSpace, tmp_path: Path) -> None:
    same = trial_of(space, 0)
    trials = [replace(same, id=key) for key in range(4)]
    page = page_of(store_of(tmp_path / "study.db", trials, space=space))
    assert page.data["explorer"]["front"] == [0]
    assert len(page.data["explorer"]["trials"]["id"]) == 4


def test_a_space_of_any_size_and_family(tmp_path: Path) -> None:
    for name, size in (
        ("gpt2-lts", "2.38\u00a0×\u00a010³⁷"),
        ("transformer-xl-lts", "2.14\u00a0×\u00a010³⁸"),
        ("llama-edge", "×\u00a010"),
    ):
        space = load_space(name)
        trials = []
        for key, architecture in enumerate(space.sample(3, seed=1, method="choices")):
            trials.append(replace(trial_of(load_space("gpt2-tiny"), key), architecture=architecture))
        visible = page_of(store_of(tmp_path / f"{name}.db", trials, space=space)).visible
        assert size in visible
        assert ("div_val" in visible) == (name == "transformer-xl-lts")
        assert ("n_kv_head" in visible) == (name == "llama-edge")


def test_the_report_of_a_running_study(space: SearchSpace, tmp_path: Path) -> None:
    path = store_of(tmp_path / "study.db", [trial_of(space, 0)], space=space)
    stop = threading.Event()
    with Store(path, writable=True) as store:

        def write() -> None:
            key = 1
            while not stop.is_set():
                store.write(trials=(replace(trial_of(space, key), environment=f"e{key}"),))
                store.add_environment(f"e{key}", {"n": key})
                key += 1

        writer = threading.Thread(target=write)
        writer.start()
        try:
            for _ in range(3):
                assert len(page_of(path).data["explorer"]["front"]) >= 1
        finally:
            stop.set()
            writer.join()


def test_the_store_is_only_read(study: Path) -> None:
    before = study.read_bytes()
    write_report(study, study.parent / "again.html")
    assert study.read_bytes() == before


# what can go wrong


def test_what_is_not_a_study_is_told(space: SearchSpace, tmp_path: Path) -> None:
    out = tmp_path / "report.html"
    with pytest.raises(UsageError, match="no study at"):
        write_report(tmp_path / "none.db", out)
    Store(tmp_path / "empty.db", writable=True, create=True).close()
    with pytest.raises(UsageError, match="holds no study yet"):
        write_report(tmp_path / "empty.db", out)
    store_of(tmp_path / "damaged.db", [replace(trial_of(space, 0), values={})], space=space)
    with pytest.raises(UsageError, match="is damaged"):
        write_report(tmp_path / "damaged.db", out)
    store_of(tmp_path / "other.db", [], space=space, objectives=("fast",))
    with pytest.raises(UsageError, match="is damaged"):
        write_report(tmp_path / "other.db", out)
    assert not out.exists()


def test_without_plotly_it_says_what_to_install(study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "plotly"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "plotly", None)
    with pytest.raises(UsageError, match=r"the report needs plotly: pip install 'lts-engine\[report\]'"):
        write_report(study, tmp_path / "report.html")
    assert list(tmp_path.iterdir()) == []


def test_importing_the_report_does_not_import_plotly() -> None:
    code = "import sys, lts.report, lts.report.page; sys.exit('plotly' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        (lambda folder: folder, "Is a directory"),
        (lambda folder: folder / "none" / "report.html", "No such file or directory"),
        (lambda folder: folder / "file" / "report.html", "Not a directory"),
        (lambda folder: folder / ("x" * 300), "File name too long"),
    ],
)
def test_a_file_that_cannot_be_written_is_told(
    study: Path, tmp_path: Path, place: Callable[[Path], Path], reason: str
) -> None:
    (tmp_path / "file").write_text("kept")
    with pytest.raises(UsageError, match=f"cannot write the report .*: {reason}"):
        write_report(study, place(tmp_path))
    assert [file.name for file in tmp_path.iterdir()] == ["file"]
    assert not list(tmp_path.parent.glob(".*.tmp"))


def test_a_report_is_replaced_whole(study: Path, tmp_path: Path) -> None:
    out = tmp_path / "report.html"
    out.write_text("old")
    write_report(study, out)
    assert out.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert [file.name for file in tmp_path.iterdir()] == ["report.html"]
    umask = os.umask(0)
    os.umask(umask)
    assert out.stat().st_mode & 0o777 == 0o666 & ~umask


def test_a_link_stays_a_link_and_a_device_a_device(study: Path, tmp_path: Path) -> None:
    (tmp_path / "target.html").touch()
    (tmp_path / "link.html").symlink_to("target.html")
    write_report(study, tmp_path / "link.html")
    assert (tmp_path / "link.html").is_symlink()
    assert (tmp_path / "target.html").stat().st_size > 1e6
    write_report(study, Path(os.devnull))
    assert Path(os.devnull).is_char_device()


def test_a_full_disk_is_told_and_keeps_the_old_report(study: Path, tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("mounting a small tmpfs needs root")
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", small], capture_output=True).returncode:
        pytest.skip("this machine does not allow mounting a tmpfs")
    try:
        (small / "report.html").write_text("old")
        with pytest.raises(UsageError, match=r"cannot write the report .*: No space left on device"):
            write_report(study, small / "report.html")
        assert [file.name for file in small.iterdir()] == ["report.html"]
        assert (small / "report.html").read_text() == "old"
    finally:
        subprocess.run(["umount", small], check=True)


# words and numbers


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("latency_ms", "ms"),
        ("decode_ms_per_token", "ms per token"),
        ("tokens_per_s", "tokens per s"),
        ("peak_memory_estimate_mib", "MiB"),
        ("energy_mj", "mJ"),
        ("decoder_params", "parameters"),
        ("flops_prefill", "operations"),
        ("quality", ""),
        ("s", ""),
        ("", ""),
        ("words_per_page", ""),
        ("_per_", ""),
    ],
)
def test_units(name: str, expected: str) -> None:
    assert unit(name) == expected


def test_numbers() -> None:
    assert [number(x) for x in (0.0, 17.0, 8.3149, 0.0001234567, -2.5)] == ["0", "17", "8.315", "0.0001235", "-2.500"]
    assert number(16042240.0) == "16\u202f042\u202f240"
    assert number(1234.5) == "1234"
    assert number(12345.678) == "12\u202f346"
    assert number(4.109369e12) == "4.109e+12"
    assert magnitude(516) == "516"
    assert magnitude(10**15 - 1) == "9.99\u00a0×\u00a010¹⁴"
    assert magnitude(10**15) == "1.00\u00a0×\u00a010¹⁵"
    assert magnitude(23860986580673728820010483354466658055) == "2.38\u00a0×\u00a010³⁷"
    assert plural(1, "trial") == "1 trial"
    assert plural(2000, "trial") == "2\u202f000 trials"


def test_lists_and_times() -> None:
    assert runs([2, 2, 2, 8, 2]) == "3×2 8 2"
    assert runs([]) == ""
    assert listed(range(3)) == "0, 1, 2"
    assert listed(range(20), most=2) == "0, 1 and 18 more"
    times = [spelled_duration(s) for s in (0.0423, 12.34, 59.99, 60, 364, 3600, 3725)]
    assert times == ["0.042 s", "12.3 s", "1 min", "1 min", "6 min 4 s", "1 h", "1 h 2 min"]
    nested = {"a": {"b": 1, "c": {"d": None}}, "e": [], "f": True, "g": 1}
    assert flattened(nested) == [("a.b", "1"), ("a.c.d", "unknown"), ("e", "none"), ("f", "yes"), ("g", "1")]


def test_fitted_lines() -> None:
    assert fitted_line([1, 2, 3], [5, 7, 9]) == pytest.approx((2, 3, 1))
    assert fitted_line([1, 2, 3], [4, 4, 4]) == pytest.approx((0, 4, 1))
    assert fitted_line([1e9, 3e9, 2e9], [1.0, 3.1, 1.9]) == pytest.approx((1.05e-9, -0.1, 0.99324), rel=1e-3)
    assert fitted_line([2, 2], [1, 3]) is None
    assert fitted_line([], []) is None


# in a browser


def test_a_browser_draws_the_charts(chromium: Chromium, study: Path, page: Page, tmp_path: Path) -> None:
    out = tmp_path / "report.html"
    write_report(study, out)
    with chromium.opened(out) as window:
        assert window.page.locator(".svg-container").count() == len(page.figures) + 1, "and the explorer's"
        assert window.page.locator("[data-title*=Chart]").count() == 0, "no button sends data to a server"
        shown = sum(len(t["x"]) for f in page.figures.values() for t in f["data"] if t.get("mode") == "markers")
        assert window.page.locator("figure .point").count() == shown
        assert (window.errors, window.requests) == ([], [])
