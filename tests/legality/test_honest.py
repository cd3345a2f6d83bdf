"""No honest evaluator is accused: all of tests/good_evaluators, quickly; bench/legality.py runs their full probes."""

from pathlib import Path

import pytest
import torch

from pgolf.legality import load_factory, probe, subject_of

pytestmark = pytest.mark.training

EVALUATORS = Path(__file__).parents[1] / "good_evaluators"
HONEST = sorted(p.stem for p in EVALUATORS.glob("*.py") if p.stem != "base")
SLOW = {"token_by_token": 100, "token_by_token_slowly": 12, "cache_in_dicts": 150, "keeps_keys_and_values": 150}


@pytest.fixture(autouse=True)
def settings_of_torch():
    """An evaluator may change them for its process."""
    torch.set_num_threads(1)
    yield
    torch.set_default_dtype(torch.float32)
    torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize("name", HONEST)
@pytest.mark.filterwarnings("ignore:this model is small")
def test_no_honest_evaluator_is_accused(name, tiny_data, monkeypatch):
    monkeypatch.setenv("TOKENIZER_PATH", str(next(tiny_data.data_dir.glob("tokenizers/*.model"))))
    make = load_factory(f"{EVALUATORS / name}.py:make_evaluator")
    results = probe(subject_of(name, make, length=SLOW.get(name, 300)), positions=6, seeds=(0,))
    assert [r for r in results if r.passed is False] == []
    assert all(r.passed for r in results[:4])
    assert results[4].passed is (True if name == "counts_bytes" else None)
