"""Training of small models on bytes: the same batches, the same bits after a stop, losses that go down."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from reference_models import REASON

import lts
from lts.errors import MeasurementError, UsageError

torch = pytest.importorskip("torch", reason=REASON)

from lts.networks.training import Corpus, Recipe, Trainer, train  # noqa: E402

LENGTH = 16
TEXT = b"the quick brown fox jumps over the lazy dog; " * 100
RECIPE = Recipe(60, batch=4, length=LENGTH, lr=5e-3)


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> None:
    torch.set_num_threads(1)  # small products gain nothing from more


def tiny(family: str = "gpt2", d_model: int = 32) -> lts.Architecture:
    return lts.Architecture(family, vocab_size=256, n_positions=LENGTH, d_model=d_model, n_head=2, d_ff=64, n_layer=1)


@pytest.mark.parametrize("family", ["gpt2", "transformer_xl", "llama", "hw_gpt"])
def test_a_repetitive_text_is_learned(family: str) -> None:
    trained = train(tiny(family), Corpus.of(TEXT, LENGTH), replace(RECIPE, steps=200))
    assert trained.state == "complete"
    assert trained.curve[0][2] > 3.0
    assert trained.valid_loss is not None
    assert trained.train_loss is not None
    assert trained.valid_loss < 0.5 * trained.curve[0][2]
    assert trained.valid_loss == trained.curve[-1][3]
    assert trained.curve[-1][0] == trained.steps == 200
    assert [point[0] for point in trained.curve] == sorted({point[0] for point in trained.curve})


def test_the_corpus_holds_its_end_out() -> None:
    text = bytes(np.random.default_rng(0).integers(256, size=50_000, dtype=np.uint8))
    corpus = Corpus.of(text, LENGTH)
    assert len(corpus.valid) == int(0.05 * len(text)) // (LENGTH + 1)
    assert bytes(corpus.train.tobytes()) + corpus.valid.astype(np.uint8).tobytes() == text
    assert len(Corpus.of(text * 10, LENGTH).valid) == 256
    with pytest.raises(UsageError, match=r"the text has 100 bytes; sequences of 16 need 1088 or more"):
        Corpus.of(text[:100], LENGTH)
    assert len(Corpus.of(text[:1088], LENGTH).valid) == 8


def test_batches_depend_on_seed_and_step_only() -> None:
    corpus = Corpus.of(TEXT, LENGTH)
    for recipe in (RECIPE, replace(RECIPE, steps=7, lr=1.0)):
        np.testing.assert_array_equal(corpus.batch(recipe, 5), Corpus.of(TEXT, LENGTH).batch(RECIPE, 5))
    assert corpus.batch(RECIPE, 5).shape == (4, LENGTH + 1)
    assert (corpus.batch(RECIPE, 5) != corpus.batch(RECIPE, 6)).any()
    assert (corpus.batch(RECIPE, 5) != corpus.batch(replace(RECIPE, seed=1), 5)).any()


def test_every_model_gets_these_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[list[int]]] = []
    corpus = Corpus.of(TEXT, LENGTH)
    loss = lts.networks.network.Network.loss

    def watched(self: lts.networks.network.Network, ids: torch.Tensor) -> torch.Tensor:
        seen.append(ids.tolist())
        return loss(self, ids)

    monkeypatch.setattr(lts.networks.network.Network, "loss", watched)
    runs = []
    for d_model in (16, 32):
        seen.clear()
        train(tiny(d_model=d_model), corpus, replace(RECIPE, steps=5))
        runs.append(list(seen))
    assert runs[0] == runs[1]
    assert runs[0][:5] == [corpus.batch(RECIPE, step).tolist() for step in range(5)]


def test_the_rate_warms_up_and_falls() -> None:
    recipe = replace(RECIPE, steps=100, lr=1.0, warmup=0.1)
    rates = [recipe.rate(step) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == rates[9] == rates[10] == 1.0
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[99] == pytest.approx(0.1, abs=0.01)
    assert all(math.isfinite(replace(RECIPE, steps=n).rate(i)) for n in (1, 2, 3) for i in range(n))


@pytest.mark.parametrize("stops", [(1,), (30,), (7, 8, 23, 59)])
def test_a_resumed_run_is_the_same(tmp_path: Path, stops: tuple[int, ...]) -> None:
    corpus, checkpoint = Corpus.of(TEXT, LENGTH), tmp_path / "checkpoint.pt"
    recipe = replace(RECIPE, steps=300)  # points of the curve are means of three steps
    whole = train(tiny(), corpus, recipe)
    before = 0
    for stop in stops:
        steps = count(before + 1)
        part = train(tiny(), corpus, recipe, checkpoint=checkpoint, stop=lambda s=steps, n=stop: next(s) == n)
        assert (part.state, part.steps) == ("paused", stop)
        before = stop
    resumed = train(tiny(), corpus, recipe, checkpoint=checkpoint)
    assert resumed.steps == whole.steps
    assert (resumed.valid_loss, resumed.train_loss) == (whole.valid_loss, whole.train_loss)
    assert [(p[0], *p[2:]) for p in resumed.curve] == [(p[0], *p[2:]) for p in whole.curve]
    assert not list(tmp_path.glob(".*.tmp"))


def test_checkpoints_come_by_the_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that is killed resumes from the last one."""
    checkpoint, corpus, step = tmp_path / "checkpoint.pt", Corpus.of(TEXT, LENGTH), Trainer.step

    def dies(self: Trainer, number: int) -> torch.Tensor:
        if number == 20:
            raise SystemError
        return step(self, number)

    monkeypatch.setattr(Trainer, "step", dies)
    with pytest.raises(SystemError):
        train(tiny(), corpus, RECIPE, checkpoint=checkpoint, save_seconds=0.0)
    taken = []
    monkeypatch.setattr(Trainer, "step", lambda self, number: taken.append(number) or step(self, number))
    resumed = train(tiny(), corpus, RECIPE, checkpoint=checkpoint)
    assert taken == list(range(20, 60))
    assert resumed.valid_loss == train(tiny(), corpus, RECIPE).valid_loss


def test_a_checkpoint_of_something_else_is_not_used(tmp_path: Path) -> None:
    checkpoint, corpus = tmp_path / "checkpoint.pt", Corpus.of(TEXT, LENGTH)
    train(tiny(d_model=16), corpus, RECIPE, checkpoint=checkpoint, stop=lambda: True)
    expected = train(tiny(), corpus, RECIPE).valid_loss
    assert train(tiny(), corpus, RECIPE, checkpoint=checkpoint).valid_loss == expected
    for content in (b"", b"damaged", checkpoint.read_bytes()[:1000]):
        checkpoint.write_bytes(content)
        assert train(tiny(), corpus, RECIPE, checkpoint=checkpoint).valid_loss == expected


def test_losses_that_are_no_numbers_fail() -> None:
    trained = train(tiny(), Corpus.of(TEXT, LENGTH), replace(RECIPE, lr=1e30, clip=math.inf, weight_decay=1e30))
    assert trained.state == "failed"
    assert "loss is nan" in str(trained.error) or "loss is inf" in str(trained.error)
    assert trained.valid_loss is None
    assert all(math.isfinite(point[2]) for point in trained.curve)


def test_memory_that_runs_out_is_no_failure_of_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(self: Trainer, number: int) -> torch.Tensor:
        raise torch.OutOfMemoryError("not enough memory\nmore lines")

    monkeypatch.setattr(Trainer, "step", fails)
    with pytest.raises(MeasurementError, match=r"training on cpu stopped: not enough memory$"):
        train(tiny(), Corpus.of(TEXT, LENGTH), RECIPE)
