"""A folder beside the record before: what changed, what is claimed of the gain, and what the logs say."""

import re

import pytest
from good_entry import BPB, SEEDS, with_status

from pgolf.audit.audit import audit


def test_an_undisclosed_knob(folder, previous):
    folder.edit("README.md", "`TTT_EPOCHS` 4 → 3 and ", "")
    check = audit(folder.path, against=previous.path).check("delta-disclosed")
    assert check.status == "fail" and "ttt_epochs (4 → 3)" in check.message and len(check.evidence) == 1


@pytest.mark.parametrize(
    ("words", "status"), [("TTT epochs", "pass"), ("ttt-epochs", "pass"), ("TTT_EPOCHS_MAX", "fail")]
)
def test_how_a_knob_is_named(folder, previous, words, status):
    folder.edit("README.md", "`TTT_EPOCHS`", words)
    assert audit(folder.path, against=previous.path).check("delta-disclosed").status == status


def test_a_new_knob_that_is_not_named_is_a_warning(folder, previous):
    folder.edit_logs("  ttt_epochs", "  gate_window: 12\n  ttt_epochs")
    assert audit(folder.path, against=previous.path).check("delta-disclosed").status == "warn"


def test_a_gain_that_was_there_before_adaptation(folder, previous):
    for seed in SEEDS:
        text = previous.log(seed).read_text()
        worse = re.sub(r"(val_(?:bpb|loss):)(\d\.\d+)", lambda m: f"{m[1]}{1.01 * float(m[2]):.8f}", text)
        previous.log(seed).write_text(worse)
    folder.edit("README.md", "1.08112", "lower")
    check = audit(folder.path, against=previous.path).check("attribution")
    assert check.status == "warn" and "1.08112" in check.message


def test_other_validation_text_than_before(folder, previous):
    previous.edit_logs("val_tokens: 40540160", "val_tokens: 20540160")
    result = audit(folder.path, against=previous.path)
    assert with_status(result, "fail") == {"same-data"} and result.comparison is None


@pytest.mark.parametrize(
    ("claims", "readme", "status"),
    [
        ({"p_value": "<1e-7"}, "", "fail"),
        ({"p_value": 0.2}, "", "fail"),
        ({"t_statistic": -99.0}, "", "fail"),
        ({"p_value": "<0.001"}, "", "pass"),
        ({}, "Welch p < 1e-9", "fail"),
        ({}, "p < 0.0001, t = -25.619", "pass"),
        ({}, "t = -99.00", "warn"),
        ({}, "", "pass"),
    ],
)
def test_claimed_significance(folder, previous, claims, readme, status):
    folder.claim(**claims)
    with (folder.path / "README.md").open("a") as f:
        f.write(readme)
    check = audit(folder.path, against=previous.path).check("claimed-significance")
    assert check.status == status, check


def test_significance_claimed_with_one_seed(folder):
    for seed in (314, 999):
        folder.log(seed).unlink()
    folder.claim(seeds=[42], seed_results=None, val_bpb=BPB[42], val_bpb_std=None, p_value=0.001, bytes_total=None)
    assert with_status(audit(folder.path), "fail") == {"seed-count", "claimed-significance"}


def test_the_gain_in_bpb_called_nats(folder, previous):
    folder.edit("README.md", "0.00260 bpb (0.00672 nats per token)", "0.00260 nats")
    assert not audit(folder.path).failed  # nothing to tell it from, without the previous record
    assert with_status(audit(folder.path, against=previous.path), "fail") == {"units"}


def test_against_a_ledger_entry(folder):
    result = audit(folder.path, against="pr1394")
    assert result.comparison and round(result.comparison.old.mean, 8) == 1.0856248
    assert result.check("delta-disclosed").status in ("fail", "warn")
