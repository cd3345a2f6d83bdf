"""The bytes that a score divides by, beside those that the track's data file knows of the validation text."""

import math
import re
from dataclasses import replace
from pathlib import Path

import pytest
from good_entry import SEEDS

from pgolf import tracks
from pgolf.audit.archive import record_folders
from pgolf.audit.audit import audit, audit_folders

SHARED = Path(__file__).resolve().parents[3] / "shared"
TRACK = tracks.load("10min_16mb")
KNOWN = {split.tokenizer: split for split in TRACK.validation}
SPACES = 1 + TRACK.val_spaces / TRACK.val_bytes


def rewrite(folder, per_token: float, tokens: int | None, vocabulary: int | None = None) -> None:
    """Give every stage of the logs so many bytes per token, by its bpb, and the log that number of tokens."""
    for seed in SEEDS:
        text = re.sub(
            r"val_loss:([\d.]{9,}) val_bpb:[\d.]{9,}",
            lambda m: f"val_loss:{m[1]} val_bpb:{float(m[1]) / math.log(2) / per_token:.8f}",
            folder.log(seed).read_text(),
        )
        text = text.replace("val_tokens: 40540160\n", f"val_tokens: {tokens}\n" if tokens else "")
        text = text.replace("  world_size: 8\n", f"  vocab_size: {vocabulary}\n  world_size: 8\n" if vocabulary else "")
        folder.log(seed).write_text(text)


def same_data(folder) -> tuple[str, str]:
    check = audit(folder.path).check("same-data")
    return check.status, check.message


@pytest.mark.parametrize("split", TRACK.validation, ids=lambda s: s.tokenizer)
@pytest.mark.parametrize("with_vocabulary", [True, False])
def test_spaces_counted_twice_fail_under_every_known_tokenizer(folder, split, with_vocabulary):
    vocabulary = split.vocab_size if with_vocabulary else None
    rewrite(folder, split.bytes / split.tokens, split.tokens, vocabulary)
    assert same_data(folder)[0] == "pass"
    folder.write()
    rewrite(folder, SPACES * split.bytes / split.tokens, split.tokens, vocabulary)
    status, message = same_data(folder)
    assert status == "fail" and f"as many as {split.tokenizer} has" in message and "bpb is 15.0% too low" in message


@pytest.mark.parametrize(
    ("vocabulary", "status"), [(8192, "fail"), (None, "warn")], ids=["the log's vocabulary", "neither"]
)
def test_without_the_number_of_tokens_bytes_per_token_tell(folder, vocabulary, status):
    split = KNOWN["SP8192"]
    rewrite(folder, SPACES * split.bytes / split.tokens, None, vocabulary)
    found = same_data(folder)
    assert found[0] == status and "those of SP8192 on the validation text with each space counted twice" in found[1]


@pytest.mark.parametrize(
    ("per_token", "tokens", "vocabulary", "status", "words"),
    [
        # the known text, its end left out, or rounded otherwise
        (3.72587, 40_548_352, 8192, "pass", ""),
        (2.43599, 61_997_056, 1024, "pass", ""),
        (3.72663, None, 8192, "unknown", "do not say what they were scored on"),
        # the known text under a tokenizer of the author's own
        (151_078_655 / 76_632_064, 76_632_064, None, "pass", ""),
        (151_060_000 / 40_100_000, 40_100_000, 8192, "pass", ""),
        # bytes counted wrongly
        (164_594_398 / 47_851_520, 47_851_520, 8192, "fail", "151.07 MB of text, its score divides by 164.59 MB"),
        (192_584_541 / 45_514_752, 45_514_752, 4096, "fail", "bpb is 21.5% too low"),
        (SPACES * 151_080_000 / 30_000_000, 30_000_000, 16384, "fail", "as if each space was counted twice"),
        (1.01 * 3.72663, 40_540_160, 8192, "warn", "bpb is 0.99% too low, or of another text"),
        (0.9 * 3.72663, 40_540_160, 8192, "warn", "too high"),
        # other text, a part of it, or a vocabulary that happens to give as many tokens
        (2.4423, 63_779_840, None, "warn", "another validation text"),
        (150_748_960 / 44_795_904, 44_795_904, 4096, "warn", "another validation text"),
        (197_944_566 / 49_999_872, 49_999_872, 10240, "warn", "or it is other text"),
        (3.65672, 2_097_152, 8192, "warn", "it is a part of it"),
        (1.1 * 3.72663, 40_540_160, 9000, "warn", "or it is other text"),
        # no number of tokens
        (4.1, None, 8192, "warn", "or it is another tokenizer or text"),
        (3.73676, None, 8192, "unknown", "can't be compared"),
        (3.67525, None, None, "unknown", "can't be compared"),
        (4.1, None, 16384, "unknown", "can't be compared"),
    ],
)
def test_bytes_per_token_beside_the_known_text(folder, per_token, tokens, vocabulary, status, words):
    rewrite(folder, per_token, tokens, vocabulary)
    found = same_data(folder)
    assert found[0] == status and words in found[1], found


def test_few_digits_accuse_nobody(folder):
    """A score of 3e-7 bpb, of which eight decimals are printed, says little of bytes per token."""
    for seed in SEEDS:
        text = folder.log(seed).read_text()
        text = re.sub(
            r"quantized_ttt val_loss:\S+ val_bpb:\S+", "quantized_ttt val_loss:0.00000087 val_bpb:0.00000033", text
        )
        folder.log(seed).write_text(text)
    assert same_data(folder)[0] == "pass"


def test_a_digit_that_was_changed_in_one_log_is_told_once(folder):
    folder.edit("train_seed314.log", "quantized_ttt val_loss:2.78", "quantized_ttt val_loss:2.88")
    result = audit(folder.path)
    assert (result.check("same-data").status, result.check("loss-bpb-consistent").status) == ("pass", "fail")


def test_a_track_that_knows_nothing_of_its_text_compares_nothing(folder):
    rewrite(folder, 9.0, 40_540_160, 8192)
    track = replace(TRACK, val_bytes=None, val_spaces=None, validation=())
    assert audit(folder.path, track).check("same-data").status == "pass"


def test_both_tracks_of_the_contest_know_one_text():
    other = tracks.load("non_record_16mb")
    assert (other.val_bytes, other.val_spaces, other.validation) == (
        TRACK.val_bytes,
        TRACK.val_spaces,
        TRACK.validation,
    )
    for split in TRACK.validation:
        assert split.bytes == pytest.approx(TRACK.val_bytes, rel=1e-4)


def test_no_honest_public_record_is_accused():
    """Those that are told count bytes wrongly, or were scored on another text; the other 150 and more are silent."""
    if not (SHARED / "public-prs").is_dir():
        pytest.skip("the public records are not here")
    found = [a for name in ("public-records", "public-prs") for a in audit_folders(record_folders(SHARED / name))]
    told = {a.folder.name: c.status for a in found if (c := a.check("same-data")).status in ("fail", "warn")}
    assert len(found) > 150 and told == {
        "track_10min_16mb__2026-04-22_SP8192_CaseOps_V13_L2_LoRA_TTT": "fail",  # operators counted as three bytes each
        "track_10min_16mb__2026-04-27_Leo": "fail",  # the tokens of SP4096, with 1.27 times their bytes
        "track_10min_16mb__2026-04-16_KKVShareWider_FLA": "warn",  # each space twice, by its bytes per token alone
        "track_non_record_16mb__2026-04-04_10L_GDN_PureGDN_7k_LegalTTT": "warn",  # the same
        "2026-03-17_NaiveBaseline": "warn",  # an older split
        "track_10min_16mb__2026-04-05_PreQuantTTT_ETLB_MuonEqR_DepthRecurrence_AllInt6": "warn",  # 0.2 % fewer bytes
        "track_10min_16mb__2026-04-30_SP10240_SimCTG_QAHSP_PostQuantTTT_OptioAI": "warn",  # other text
        "track_10min_16mb__2026-04-25_qk525_nopqttt_clip1500_bq11_legal_ttt": "warn",  # a part
        "track_non_record_16mb__2026-04-14_CAGE5_TRUE_H100_3Seed": "warn",  # a part
        "track_non_record_16mb__2026-04-09_FaithfulMHCLite": "warn",  # a part
    }
