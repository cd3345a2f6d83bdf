"""What is irregular makes a warning, what a log does not say is unknown, and neither fails a check."""

import json
import shutil
from pathlib import Path

import pytest
from good_entry import BPB, FIRST, NATS_A_BIT, SEEDS, log_text, with_status

from pgolf import tracks
from pgolf.audit.audit import audit


def inside_the_grace(f):
    f.edit_logs("Hessians in 12.7s", "Hessians in 13.5s")


def population_std(f):
    f.claim(val_bpb_std=0.00010149)


def a_copy_beside_the_logs(f):
    shutil.copy(f.log(42), f.path / "train.log")


def the_trainers_own_log_too(f):
    (f.path / "logs").mkdir()
    (f.path / "logs" / "0a1b.txt").write_text(f.log(42).read_text().split("\n", 1)[1])


def an_unclaimed_seed(f):
    losses = tuple(x + 0.05 for x in FIRST[42])
    (f.path / "train_seed7.log").write_text(log_text(42, 1.0799, losses).replace("seed: 42", "seed: 7"))


def a_try_without_a_score(f):
    text = f.log(42).read_text()
    (f.path / "try1.log").write_text(text[: text.index("500/20000")])


def one_log_of_other_code(f):
    f.edit("train_seed42.log", "Code size: 15000", "Code size: 15036")
    f.edit("train_seed42.log", "brotli: 15990142 bytes", "brotli: 15990178 bytes")
    f.claims["seed_results"]["42"]["artifact_bytes"] += 36
    f.claim()


def a_knob_in_one_log_only(f):
    f.edit("train_seed42.log", "  ttt_epochs", "  ttt_hash_embed: True\n  ttt_epochs")


def an_error_after_the_score(f):
    with f.log(42).open("a") as log:
        log.write("[rank3]: RuntimeError: NCCL communicator was aborted\n")


def another_track(f):
    f.claim(track="speedrun-4h")


def loss_repeats_bpb(f):
    f.claim(val_loss=1.07904991)


def bytes_counted_twice(f):
    for seed in SEEDS:
        right, twice = f"{BPB[seed] * NATS_A_BIT:.8f}", f"{BPB[seed] * NATS_A_BIT * 1.17:.8f}"
        f.edit(f"train_seed{seed}.log", f"quantized_ttt val_loss:{right}", f"quantized_ttt val_loss:{twice}")
    f.claim(seed_results=None)


def a_part_of_the_text(f):
    f.edit_logs("val_tokens: 40540160", "val_tokens: 2097152")


def loss_in_nats_per_byte(f):
    f.claim(val_loss=0.74794040)


def only_one_seed_claimed_of_three(f):
    f.claim(seeds=None, seed_results=None, val_bpb_std=None, val_bpb=1.07902311)


def score_of_an_earlier_stage(f):
    f.claim(val_bpb=1.08111991, seed_results=None)


def wrong_steps(f):
    f.claims["seed_results"]["42"]["steps"] = 4600
    f.claim()


@pytest.mark.parametrize(
    ("spoil", "warns"),
    [
        (inside_the_grace, {"train-plus-calibration-seconds"}),
        (population_std, {"claimed-std"}),
        (a_copy_beside_the_logs, {"seeds-distinct"}),
        (the_trainers_own_log_too, {"seeds-distinct"}),
        (an_unclaimed_seed, {"seed-count"}),
        (a_try_without_a_score, {"seed-count"}),
        (one_log_of_other_code, {"same-config", "code-bytes"}),
        (a_knob_in_one_log_only, {"same-config"}),
        (an_error_after_the_score, {"log-complete"}),
        (another_track, {"required-files"}),
        (loss_repeats_bpb, {"units"}),
        (a_part_of_the_text, {"same-data"}),
        (loss_in_nats_per_byte, {"units"}),
        (only_one_seed_claimed_of_three, {"claimed-mean"}),
        (score_of_an_earlier_stage, {"claimed-mean"}),
        (wrong_steps, {"claimed-seed-values"}),
    ],
    ids=lambda x: getattr(x, "__name__", ""),
)
def test_an_irregular_folder_is_warned_of(folder, spoil, warns):
    spoil(folder)
    result = audit(folder.path)
    assert not result.failed, [c for c in result.checks if c.status == "fail"]
    assert with_status(result, "warn") == warns, [c for c in result.checks if c.status == "warn"]
    assert len(result.runs) == 3


def test_a_final_score_with_bytes_that_its_tokens_do_not_have_fails(folder):
    bytes_counted_twice(folder)
    result = audit(folder.path)
    assert with_status(result, "fail") == {"same-data"} and with_status(result, "warn") == {"loss-bpb-consistent"}


@pytest.mark.parametrize(
    "words",
    [
        "| seed | no gate |\n|---|---|\n| 42 | 1.0821 |\n| 314 | 1.0833 |\n",  # an ablation, beside the results
        "| # | what | val_bpb |\n|---|---|---|\n| 42 | gate | 1.0811 |\n",  # no column of seeds
        "Needs 0.005 nats over 1.0810 BPB, 0.005 nats being the bar (p < 0.01).\n",
        "A gain of 0.0019357 bpb (0.005 nats).\n",
        "The record of SP1024 had 1.1194 BPB (1.8898 nats); eval at T = 0.90.\n",
        "1.0790 BPB (2.7872 nats per token)\n",
    ],
)
def test_an_honest_readme_is_not_accused(folder, words):
    with (folder.path / "README.md").open("a") as f:
        f.write("\n" + words)
    assert {c.status for c in audit(folder.path).checks if c.id not in ("delta-disclosed", "attribution")} <= {
        "pass",
        "unknown",
    }


def test_strict_has_no_grace(folder):
    inside_the_grace(folder)
    assert with_status(audit(folder.path, strict=True), "fail") == {"train-plus-calibration-seconds"}


def test_a_diagnostic_pass_over_the_limit_is_a_warning(folder):
    folder.edit_logs("quantized val_loss", "diagnostic quantized val_loss")
    folder.edit_logs("eval_time:120961ms", "eval_time:220961ms")
    check = audit(folder.path).check("eval-seconds")
    assert check.status == "warn" and "587.486 s without" in check.message


def test_limits_come_from_the_track(folder, tmp_path):
    track = Path(str(tmp_path / "small.toml"))
    text = (Path(tracks.__file__).parent / "10min_16mb.toml").read_text()
    track.write_text(text.replace("16_000_000", "15_000_000").replace("min_seeds = 3", "min_seeds = 5"))
    result = audit(folder.path, tracks.load(str(track)))
    assert with_status(result, "fail") == {"artifact-bytes", "seed-count"}


def test_what_is_unknown_fails_nothing(folder):
    """Logs in a dialect that prints little: losses, scores and nothing else."""
    for seed in SEEDS:
        folder.log(seed).write_text(
            f"step:1/10 train_loss:9.0\nfinal val_loss:{BPB[seed] * NATS_A_BIT:.8f} val_bpb:{BPB[seed]:.8f}\n"
        )
    result = audit(folder.path)
    assert not result.failed
    silent = {"artifact-bytes", "code-bytes", "train-seconds", "train-plus-calibration-seconds", "eval-seconds"}
    silent |= {"hardware", "seed-matches-name", "same-config", "same-data"}
    assert with_status(result, "unknown") == silent | {"delta-disclosed", "attribution"}


def test_a_few_duplicates_over_the_splits_are_a_warning_and_no_manifest_is_unknown(folder):
    manifest = folder.path / "dataset.json"
    manifest.write_text('{"val_documents": 50000,\n "val_documents_in_train": 12}')
    check = audit(folder.path).check("train-val-disjoint")
    assert check.status == "warn" and "12 of 50,000" in check.message and check.evidence[0].line == 2
    near = {"val_documents_near_train": 900, "train_documents_compared": 10_000, "train_documents_near_train": 150}
    counts = {"val_documents": 50_000, "val_documents_in_train": 0, **near}
    manifest.write_text(json.dumps(counts))
    check = audit(folder.path).check("train-val-disjoint")
    assert check.status == "pass" and "900 are in the training text exactly or nearly" in check.message
    manifest.write_text(json.dumps(counts | {"val_documents_near_train": 1700}, indent=1))
    check = audit(folder.path).check("train-val-disjoint")
    assert check.status == "fail" and "1,700 are in the training text" in check.message, "3.4 % against 1.5 %"
    assert check.evidence[0].line == 4
    for wrong in (None, -1, 50_001, "900", True):
        manifest.write_text(json.dumps(counts | {"val_documents_near_train": wrong}))
        assert audit(folder.path).check("train-val-disjoint").status == "unknown", wrong
    for content in ("[]", "{", '{"val_documents": 5}', '{"val_documents": null, "val_documents_in_train": 1}'):
        manifest.write_text(content)
        assert audit(folder.path).check("train-val-disjoint").status == "unknown"
    manifest.unlink()
    assert audit(folder.path).check("train-val-disjoint").status == "unknown"


def test_calibration_of_unknown_length_is_unknown(folder):
    folder.edit_logs("GPTQ:collected 67 Hessians in 12.7s\n", "")
    assert audit(folder.path).check("train-plus-calibration-seconds").status == "unknown"


def test_three_seeds_in_one_log(folder):
    text = "".join(folder.log(seed).read_text() for seed in SEEDS)
    for seed in SEEDS:
        folder.log(seed).unlink()
    (folder.path / "train.log").write_text(text)
    result = audit(folder.path)
    assert [r.seed.value for r in result.runs] == sorted(SEEDS)
    assert {c.id for c in result.checks if c.status != "pass"} == {"delta-disclosed", "attribution"}


def test_score_from_a_separate_evaluation(folder):
    """Training logs end at a worse score; the claimed one is from a second process over the same artifacts."""
    (folder.path / "ttt").mkdir()
    for seed in SEEDS:
        text = folder.log(seed).read_text()
        (folder.path / "ttt" / f"seed_{seed}.log").write_text(
            f"Hyperparameters:\n  seed: {seed}\n  ttt_epochs: 3\n  ttt_enabled: True\ntrain_shards: 0\n"
            + text[text.index("ttt:start") :]
        )
        folder.edit(f"train_seed{seed}.log", f"val_bpb:{BPB[seed]:.8f}", "val_bpb:1.08000000")
        folder.edit(
            f"train_seed{seed}.log", f"val_loss:{BPB[seed] * NATS_A_BIT:.8f}", f"val_loss:{1.08 * NATS_A_BIT:.8f}"
        )
    result = audit(folder.path)
    assert not result.failed and with_status(result, "warn") == {"log-complete"}
    assert [r.final.val_bpb for r in result.runs] == [BPB[s] for s in sorted(SEEDS)]
    assert result.runs[0].final.at.file == "ttt/seed_42.log" and round(result.runs[0].eval_seconds, 3) == 513.001
