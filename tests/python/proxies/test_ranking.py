"""Proxies against published quality, and the command that compares them on the user's own tables."""

from __future__ import annotations

import csv
import gzip
import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import lts
from lts.cli import ranking
from lts.errors import MeasurementError, UsageError
from lts.export import export
from lts.measure.tables.reader import read_table
from lts.proxies.ranking import CLOSED_FORMS, PROXIES, Scored, rank, score

COMMAND = Path(sys.executable).with_name("lts-engine")
SPACE = lts.SearchSpace.load("gpt2-any-shapes")


def sampled(n: int, seed: int = 0) -> list[lts.Architecture]:
    return SPACE.sample(n, seed, method="choices")


# --- Closed forms ---


def test_zerolm_is_the_mean_over_random_initializations() -> None:
    """The definition with singular values: ||W||_F^2 over the rank bound, W ~ N(0, 0.02^2)."""
    random = np.random.default_rng(0)
    for architecture in lts.SearchSpace.load("llama-tiny").sample(3, 1):
        scores = []
        for _ in range(50):
            sums = {"attention": 0.0, "feed_forward": 0.0}
            for weight in lts.weights(architecture):
                if weight.kind != "matrix" or weight.layer < 0:
                    continue
                part = "feed_forward" if weight.role in ("gate", "up", "down") else "attention"
                values = np.linalg.svd(0.02 * random.standard_normal(weight.shape), compute_uv=False)
                sums[part] += float((values**2).sum()) / min(weight.shape)
            scores.append(0.5 * sums["attention"] + 0.5 * sums["feed_forward"])
        error = np.std(scores, ddof=1) / math.sqrt(len(scores))
        assert lts.zerolm(architecture) == pytest.approx(np.mean(scores), abs=3 * error)


def test_geometric_is_a_mean() -> None:
    for architecture in sampled(20):
        counts = lts.count_parameters(architecture)
        expected = 0.3 * math.log(counts.attention) + 0.7 * math.log(counts.feed_forward)
        assert lts.geometric(architecture, alpha=0.3) == pytest.approx(expected, rel=1e-12)


def test_correlations_against_scipy() -> None:
    stats = pytest.importorskip("scipy.stats", reason="scipy is not installed")
    random = np.random.default_rng(1)
    for levels in (3, 10, 10**6):
        for n in (2, 5, 100, 1000):
            x, y = random.integers(levels, size=(2, n)).astype(float)
            x[:2], y[:2] = (0, levels), (levels, 0)
            y[n // 2 :] += x[n // 2 :]
            if np.ptp(y) == 0:
                continue
            assert lts.spearman(x, y) == pytest.approx(stats.spearmanr(x, y)[0], abs=1e-12)
            assert lts.kendall(x, y) == pytest.approx(stats.kendalltau(x, y)[0], abs=1e-12)


# --- Published tables ---


@pytest.mark.parametrize(
    ("file", "family", "params", "geometric"),
    [
        ("random_gpt2_wt103.csv", "gpt2", 0.967, 0.976),
        ("random_transxl_wt103.csv", "transformer_xl", 0.974, 0.974),
    ],
)
def test_perplexity_on_wikitext(published: Path, file: str, family: str, params: float, geometric: float) -> None:
    table = read_table(published / file, family)
    quality = [-value for value in table.column("valid_ppl")]
    for proxy, expected in (("decoder_params", params), ("geometric", geometric)):
        ranking = rank(table.architectures, quality, proxy, bootstrap=200)
        assert round(ranking.agreements[0].spearman, 3) == expected
        low, high = ranking.agreements[0].spearman_interval
        assert low < expected < high
    # The counts that the proxies are made of are the published ones.
    assert [lts.decoder_params(a) for a in table.architectures] == table.column("params_nonembedding")


def test_perplexity_of_hwgpt(published: Path) -> None:
    path = published.parent / "hwgpt" / "measured_s_first5000.csv.gz"
    if not path.is_file():
        pytest.skip(f"{path} is absent")
    table = read_table(path)
    quality = [-value for value in table.column("ppl")]
    ranking = rank(table.architectures, quality, "decoder_params", cost=table.column("lat_ms_a100"), bootstrap=20)
    assert ranking.agreements[0].spearman > 0.99
    assert ranking.front_ratio is not None
    assert 0.9 < ranking.front_ratio <= 1


@pytest.mark.parametrize(
    ("family", "proxy", "spearman", "kendall"),
    [
        ("flexibert_official", "zerolm", 0.777, 0.553),
        ("flexibert", "zerolm", 0.821, 0.610),
        ("flexibert", "geometric", 0.788, 0.588),
    ],
)
def test_glue_of_flexibert(published: Path, family: str, proxy: str, spearman: float, kendall: float) -> None:
    path = published.parent / "flexibert" / "flexibert_0_249.csv"
    if not path.is_file():
        pytest.skip(f"{path} is absent")
    table = read_table(path, family)
    (whole, *_) = rank(table.architectures, table.column("glue"), proxy, bootstrap=20).agreements
    assert (whole.n, round(whole.spearman, 3), round(whole.kendall, 3)) == (250, spearman, kendall)


# --- Ranking ---


def test_the_best_are_ranked_apart() -> None:
    architectures = sampled(100)
    quality = [float(lts.decoder_params(a)) for a in architectures]
    ranking = rank(architectures, quality, "decoder_params", cost=quality, bootstrap=50)
    assert [(a.share, a.n) for a in ranking.agreements] == [(1.0, 100), (0.5, 50), (0.2, 20), (0.1, 10)]
    for agreement in ranking.agreements:
        assert agreement.spearman == agreement.kendall == 1.0
        assert agreement.spearman_interval == (1.0, 1.0)
    assert ranking.front_ratio == 1.0
    assert ranking.seconds > 0


def test_intervals_hold_the_truth() -> None:
    random = np.random.default_rng(3)
    architectures = sampled(60, 3)
    size = np.log([lts.decoder_params(a) for a in architectures])
    held = 0
    truth = lts.spearman(size + random.standard_normal(60), size)
    for seed in range(20):
        quality = (size + np.random.default_rng(seed).standard_normal(60)).tolist()
        low, high = (
            rank(architectures, quality, "decoder_params", bootstrap=200, seed=seed).agreements[0].spearman_interval
        )
        held += low <= truth <= high
    assert held >= 14


def test_ties_are_named() -> None:
    architectures = sampled(10) * 2
    ranking = rank(architectures, list(range(20)), "decoder_params", bootstrap=10)
    assert ranking.ties >= 20
    constant = rank(sampled(1) * 6, list(range(6)), "decoder_params", bootstrap=10)
    assert math.isnan(constant.agreements[0].spearman)


def test_wrong_arguments() -> None:
    architectures = sampled(6)
    with pytest.raises(UsageError, match="unknown proxy 'magic'; expected one of decoder_params"):
        rank(architectures, list(range(6)), "magic")
    with pytest.raises(UsageError, match="3 architectures with a quality"):
        rank(architectures[:3], [1, 2, 3], "zerolm")
    for quality in ([1.0] * 6, [1.0, 2.0, 3.0, 4.0, 5.0, math.nan]):
        with pytest.raises(UsageError, match="finite, and not the same"):
            rank(architectures, quality, "zerolm")


# --- The command ---


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([COMMAND, *arguments], capture_output=True, text=True, timeout=120, check=False)


def table_of(path: Path, n: int = 30) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["architecture", "loss", "size", "same", "words"])
        for i, architecture in enumerate(sampled(n)):
            loss = "nan" if i == 3 else str(10 / math.log(lts.decoder_params(architecture)))
            writer.writerow([architecture.to_json(), loss, lts.total_params(architecture), 1, "x"])
    return path


def test_evaluate_a_table(tmp_path: Path) -> None:
    table = table_of(tmp_path / "mine.csv")
    result = run(
        "proxy", "evaluate", table, "--quality", "loss:min", "--cost", "size", "--bootstrap", "20", "-o", "json"
    )
    assert result.returncode == 0, result.stderr
    assert "1 row without a number left out" in result.stderr
    records = json.loads(result.stdout)
    assert {record["proxy"] for record in records} == set(CLOSED_FORMS)
    best = next(r for r in records if r["proxy"] == "decoder_params" and r["best"] == "100%")
    assert best["n"] == 29
    assert best["spearman"] == best["kendall_tau_b"] == 1.0
    assert best["front_ratio"] <= 1.0
    packed = tmp_path / "mine.csv.gz"
    packed.write_bytes(gzip.compress(table.read_bytes()))
    again = run("proxy", "evaluate", packed, "--quality", "loss:min", "--proxy", "zerolm", "--bootstrap", "0")
    assert again.returncode == 0, again.stderr
    assert "Kendall tau-b" in again.stdout


@pytest.mark.parametrize(
    ("content", "arguments", "sentence"),
    [
        (None, ("--quality", "speed:min"), "has no column 'speed'; expected one of loss, size, same"),
        (None, ("--quality", "words:min"), "has no numbers in its column 'words'"),
        (None, ("--quality", "loss"), "--quality"),
        (None, ("--quality", "same:max"), "not the same for all architectures"),
        (None, ("--quality", "loss:min", "--proxy", "magic"), "unknown proxy 'magic'; expected all, or of decoder"),
        (None, ("--quality", "loss:min", "--tokens", "x.npy"), "--tokens is for proxies that need PyTorch"),
        (None, ("--quality", "loss:min", "--proxy", "snip", "--tokens", "x.npy"), "cannot read x.npy as a NumPy"),
        (None, ("--quality", "loss:min", "--cost", "speed"), "has no column 'speed'"),
        ("", ("--quality", "loss:min"), "has no architectures"),
        ("architecture,loss\n", ("--quality", "loss:min"), "has no rows"),
        ("architecture,loss\n{},1\n", ("--quality", "loss:min"), "line 2: "),
        ("loss\n1\n", ("--quality", "loss:min"), "expected a column 'architecture'"),
        ("d_inner,n_token,loss\n1,2,3\n", ("--quality", "loss:min"), "name it with --family"),
        ("d_inner,n_token,loss\n1,2,3\n", ("--quality", "loss:min", "--family", "gpt2"), "no column 'tgt_len'"),
        ("d_inner,n_token,loss\n1,2,3\n", ("--quality", "loss:min", "--family", "bert"), "unknown family 'bert'"),
        ("hidden_size,encoder_layers,glue\n", ("--quality", "glue:max", "--family", "gpt2"), "not of gpt2"),
        ("hidden_size,encoder_layers,glue\n128,[],3\n", ("--quality", "glue:max"), "line 2: n_layer is 0"),
        ("hidden_size,encoder_layers,glue\n128,x,3\n", ("--quality", "glue:max"), "line 2: "),
        ("hidden_size,encoder_layers,glue\n128,[{}],3\n", ("--quality", "glue:max"), "must be a list of objects with"),
        ("architecture,loss\n{}\n", ("--quality", "loss:min"), "line 2: it has fewer columns than the first"),
        ("embed_dim,mlp_ratio,n_head,bias,ppl\n64,[2],[2],maybe,3\n", ("--quality", "ppl:min"), "bias is 'maybe'"),
        (
            "embed_dim,mlp_ratio,n_head,n_layer,bias,ppl\n64,[2],[2],3,1,3\n".replace("[2],[2]", '"[2,2]","[2,2]"'),
            ("--quality", "ppl:min"),
            "n_layer is 3, but 2 are listed",
        ),
        ('{"architecture": {}}\n', ("--quality", "loss:min"), "line 1: no trial with 'architecture' and 'values'"),
        (None, ("--quality", "loss:min", "--alpha", "inf"), "--alpha is inf; it must be finite"),
        (b"\x1f\x8bnot gzip", ("--quality", "loss:min"), "is no gzip file"),
    ],
)
def test_tables_that_are_wrong(
    tmp_path: Path, content: str | bytes | None, arguments: tuple[str, ...], sentence: str
) -> None:
    path = tmp_path / "table.csv"
    if content is None:
        table_of(path, 8)
    else:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    result = run("proxy", "evaluate", path, *arguments, "--bootstrap", "5")
    assert result.returncode == 2
    assert sentence in result.stderr
    assert "Traceback" not in result.stderr


def test_trials_as_json_lines(tmp_path: Path) -> None:
    """What `lts-engine front -o jsonl` prints."""
    lines = [
        json.dumps({"trial": i, "architecture": a.to_dict(), "values": {"loss": 1 / lts.decoder_params(a), "x": i}})
        for i, a in enumerate(sampled(8))
    ]
    path = tmp_path / "front.jsonl"
    path.write_text("\n".join(lines) + "\n")
    result = run("proxy", "evaluate", path, "--quality", "loss:min", "--proxy", "decoder_params", "-o", "json")
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)[0]["spearman"] == 1.0


def test_alpha_of_the_weighted_proxies() -> None:
    architectures = sampled(5)
    scored = score(architectures, ["zerolm", "geometric", "decoder_params"], alpha=0.9)
    assert scored["zerolm"].values == [lts.zerolm(a, alpha=0.9) for a in architectures]
    assert scored["geometric"].values == [lts.geometric(a, alpha=0.9) for a in architectures]
    assert scored["decoder_params"].values == [lts.decoder_params(a) for a in architectures]


def test_a_proxy_without_a_number_leaves_the_others(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    scores = {"synflow": Scored([1.0, math.nan], 0.1), "snip": Scored([1.0, 2.0], 0.1)}
    monkeypatch.setattr("lts.proxies.ranking.score", lambda *_, **__: dict(scores))
    assert list(ranking.scored(sampled(2), scores, None)) == ["snip"]
    assert "synflow left out: it gives no number for 1 architecture" in capsys.readouterr().err
    del scores["snip"]
    with pytest.raises(MeasurementError, match="no proxy gives a number"):
        ranking.scored(sampled(2), scores, None)


def test_list_and_objectives() -> None:
    result = run("proxy", "list", "-o", "json")
    records = json.loads(result.stdout)
    assert [record["name"] for record in records] == [proxy.name for proxy in PROXIES]
    # Those that need nothing are objectives of a search.
    assert [record["name"] for record in records if not record["needs"]] == list(CLOSED_FORMS)
    assert set(CLOSED_FORMS) <= set(lts.analytic_names())


def test_alpha_command(tmp_path: Path) -> None:
    table = table_of(tmp_path / "mine.csv", 30)
    result = run("proxy", "alpha", table, "--quality", "loss:min", "--sample", "20", "-o", "json")
    assert result.returncode == 0, result.stderr
    (record,) = json.loads(result.stdout)
    assert record["labelled"]
    assert -1.5 <= record["alpha"] <= 1.5
    assert record["spearman_chosen"] > record["spearman_middle"]
    evaluated = ("proxy", "evaluate", table, "--quality", "loss:min", "--proxy", "zerolm", "-o", "json")
    with_alpha = json.loads(run(*evaluated, "--alpha", str(record["alpha"]), "--bootstrap", "0").stdout)[0]["spearman"]
    assert with_alpha > json.loads(run(*evaluated, "--bootstrap", "0").stdout)[0]["spearman"]
    (record,) = json.loads(run("proxy", "alpha", table, "--sample", "20", "-o", "json").stdout)
    assert not record["labelled"]
    assert "spearman_chosen" not in record
    result = run("proxy", "alpha", table, "--sample", "40")
    assert result.returncode == 2
    assert "--sample is 40, but" in result.stderr


def test_capacity_command(tmp_path: Path) -> None:
    architecture = lts.SearchSpace.load("gpt2-tiny").sample(1, 0)[0]
    path = tmp_path / "architecture.json"
    path.write_text(architecture.to_json())
    (random,) = json.loads(run("proxy", "capacity", path, "-o", "json", "--seed", "3").stdout)
    assert random["zerolm"] == pytest.approx(random["zerolm_closed_form"], rel=0.05)
    export(architecture, tmp_path, formats=["hf"], seed=3)
    checkpoint = tmp_path / "model.safetensors"
    (read,) = json.loads(run("proxy", "capacity", path, "--checkpoint", checkpoint, "-o", "json").stdout)
    assert read["zerolm"] == pytest.approx(random["zerolm"], rel=1e-9)
    for arguments, sentence in (
        (("--checkpoint", path), "is no index of tensors"),
        (("--checkpoint", tmp_path / "absent"), "cannot read"),
        (("--alpha", "nan"), "--alpha is nan; it must be finite"),
    ):
        result = run("proxy", "capacity", path, *arguments)
        assert result.returncode == 2
        assert sentence in result.stderr


@pytest.mark.slow
def test_gradients_on_own_tokens(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="PyTorch is not installed")
    table = table_of(tmp_path / "mine.csv", 6)
    np.save(tmp_path / "tokens.npy", np.random.default_rng(0).integers(500, size=(2, 8)))
    arguments = ("proxy", "evaluate", table, "--quality", "loss:min", "--proxy", "snip", "--rows", "5", "-o", "json")
    (record,) = json.loads(run(*arguments, "--tokens", tmp_path / "tokens.npy", "--bootstrap", "5").stdout)
    assert (record["proxy"], record["n"]) == ("snip", 4)  # one of the five has no loss
    assert record["microseconds"] > 0
    np.save(tmp_path / "tokens.npy", np.full((2, 8), 10**6))
    result = run(*arguments, "--tokens", tmp_path / "tokens.npy")
    assert result.returncode == 2
    assert "reach from 1000000 to 1000000; the vocabulary has" in result.stderr
    (tmp_path / "tokens.npy").write_text("no array")
    assert "as a NumPy file" in run(*arguments, "--tokens", tmp_path / "tokens.npy").stderr
    result = run(*arguments, "--device", "cuda:9")
    assert result.returncode == 2
    assert "could not be made" in result.stderr
