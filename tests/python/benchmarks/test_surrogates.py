"""The published surrogates of HW-GPT-Bench: the reader against PyTorch, and their encodings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tables import write_surrogates

import lts
from lts.errors import UsageError
from lts.measure.tables.hwgpt_surrogates import HwGptSurrogates
from lts.measure.tables.reader import read_table

torch = pytest.importorskip("torch")


def architecture(n: int = 10, d: int = 192, *, biases: bool = True) -> lts.Architecture:
    family = "gpt2" if biases else "hw_gpt"
    return lts.Architecture(family, 50254, 1024, d, n_head=[4, 12] * (n // 2), d_ff=[3 * d] * n, head_dim=64)


def output(network: Any, x: list[float]) -> float:
    """What the published class computes."""
    y = torch.tensor([x])
    for i in range(1, 6):
        y = network[f"fc{i}"](y)
        y = torch.relu(y) if i < 5 else y
    return float(y.detach())


# By hand from the published encoders, for 10 layers of 12, d_model 192 of (192, 384, 768), ratios 3 of (2, 3, 4) and
# heads 4 and 12 of (4, 8, 12) in turns.
_ONE_HOT = [1, 0, 0, 1, 0, 0] + [0, 1, 0] * 10 + [0, 0, 0] * 2 + [1, 0, 0, 0, 0, 1] * 5 + [0, 0, 0] * 2
_TRAINED = [0, 0] + [0.5] * 10 + [0] * 2 + [0, 1] * 5 + [0] * 2 + [1]
_TODAY = [0, 0] + [0.5] * 10 + [-1] * 2 + [0, 1] * 5 + [-1] * 2


@pytest.mark.parametrize("biases", [True, False])
def test_predictions_are_those_of_pytorch(tmp_path: Path, biases: bool) -> None:
    networks = write_surrogates(tmp_path / "deep")
    perplexity, latency = networks["perplexity_s.pt"], networks["latencies_median_s_a100.pth"]
    found = HwGptSurrogates(tmp_path, "s")
    today = HwGptSurrogates(tmp_path, "s", published=True)
    assert found.columns == ["perplexity", "latencies_a100"]
    some = [architecture(biases=biases)] * 2
    encoded = [float(x) for x in [*_ONE_HOT, biases, not biases]]
    for each in (found, today):
        assert each.predict("perplexity", some) == pytest.approx([output(perplexity, encoded)] * 2, rel=1e-5)
    trained = output(latency, [float(x) for x in _TRAINED])
    assert found.predict("latencies_a100", some) == pytest.approx([trained] * 2, rel=1e-5)
    expected = output(latency, [*map(float, _TODAY), float(biases)])
    assert today.predict("latencies_a100", some) == pytest.approx([expected] * 2, rel=1e-5)
    assert expected != pytest.approx(trained, rel=1e-3)


def test_what_is_wrong_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has no surrogates of HW-GPT-Bench for scale s; expected perplexity_s"):
        HwGptSurrogates(tmp_path, "s")
    with pytest.raises(UsageError, match="unknown scale 'x'"):
        HwGptSurrogates(tmp_path, "x")
    write_surrogates(tmp_path)
    found = HwGptSurrogates(tmp_path, "s")
    with pytest.raises(UsageError, match="no surrogate of 'energies_a100'"):
        found.predict("energies_a100", [architecture()])
    with pytest.raises(UsageError, match="no architecture of this scale"):
        found.predict("perplexity", [architecture(d=256)])
    (tmp_path / "perplexity_s.pt").write_bytes(b"no network")
    with pytest.raises(UsageError, match="is no network of HW-GPT-Bench"):
        HwGptSurrogates(tmp_path, "s").predict("perplexity", [architecture()])
    torch.save({"fc1.weight": torch.zeros(3, 2)}, tmp_path / "perplexity_s.pt")
    with pytest.raises(UsageError, match=r"is no network of HW-GPT-Bench: no 'fc1.bias'"):
        HwGptSurrogates(tmp_path, "s").predict("perplexity", [architecture()])


def test_nothing_in_a_file_is_run(tmp_path: Path) -> None:
    class Hostile:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "was-run",))

    torch.save({"fc1.weight": Hostile()}, tmp_path / "perplexity_s.pt")
    with pytest.raises(UsageError, match="is no network"):
        HwGptSurrogates(tmp_path, "s").predict("perplexity", [architecture()])
    assert not (tmp_path / "was-run").exists()


def test_published_files(published: Path) -> None:
    folder = published.parent / "hwgpt" / "surrogates"
    if not folder.is_dir():
        pytest.skip(f"{folder} is not there: perplexity_s.pt and the like, which HW-GPT-Bench publishes")
    known = {  # of the largest, the middle and the smallest architecture with biases
        "s": (((768, 12, 12), (384, 11, 8), (192, 10, 4)), (21.2994, 31.2297, 42.9816)),
        "m": (((1024, 24, 16), (512, 23, 12), (256, 22, 8)), (20.6879, 26.8070, 36.0517)),
        "l": (((1280, 36, 20), (640, 35, 16), (320, 34, 8)), (18.0214, 22.3320, 30.2008)),
    }
    for scale, (sizes, expected) in known.items():
        some = [
            lts.Architecture("gpt2", 50254, 1024, d, n_head=[h] * n, d_ff=[r * d] * n, head_dim=64)
            for (d, n, h), r in zip(sizes, (4, 3, 2), strict=True)
        ]
        assert HwGptSurrogates(folder, scale).predict("perplexity", some) == pytest.approx(expected, abs=1e-4)
    table = read_table(published.parent / "hwgpt" / "measured_s_first5000.csv.gz")
    measured = np.array(table.column("lat_ms_a100"))
    for is_published, error in ((False, 0.01), (True, 0.15)):
        predicted = HwGptSurrogates(folder, "s", published=is_published).predict("latencies_a100", table.architectures)
        assert error / 2 < np.abs(predicted / measured - 1).mean() < error
