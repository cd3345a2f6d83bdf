"""A good folder passes, and each way of spoiling it makes exactly the expected checks fail."""

import json
import math
import shutil

import pytest
from good_entry import FIRST, SEEDS, log_text, with_status

from pgolf.audit.audit import as_json, audit

CLAIMS = {"claimed-mean", "claimed-std", "claimed-seed-values"}


def test_a_good_folder_passes(folder, previous):
    result = audit(folder.path)
    assert {c.id for c in result.checks if c.status != "pass"} == {"delta-disclosed", "attribution"}  # nothing named
    assert not result.failed
    against = audit(folder.path, against=previous.path)
    assert {c.status for c in against.checks} == {"pass"}, [c for c in against.checks if c.status != "pass"]
    assert against.comparison.outcome == "clears"
    assert math.isclose(against.mean_val_bpb, 1.07904991, abs_tol=1e-8)


def swapped_logs(f):
    a, b = f.log(42).read_text(), f.log(314).read_text()
    f.log(42).write_text(b)
    f.log(314).write_text(a)


def edited_digit(f):
    f.edit("train_seed42.log", "val_bpb:1.07902311", "val_bpb:1.07802311")


def edited_score(f):
    f.log(42).write_text(log_text(42, 1.07802311))


def truncated_before_the_last_stage(f):
    text = f.log(42).read_text()
    f.log(42).write_text(text[: text.index("ttt:start")])


def truncated_inside_the_last_stage(f):
    text = f.log(42).read_text()
    f.log(42).write_text(text[: text.index("quantized_ttt")])


def truncated_in_training(f):
    text = f.log(42).read_text()
    f.log(42).write_text(text[: text.index("500/20000")])


def copied_log(f):
    shutil.copy(f.log(42), f.log(314))


def copied_log_with_its_seed_edited(f):
    f.log(314).write_text(f.log(42).read_text().replace("seed: 42", "seed: 314"))


def one_seed_run_twice(f):
    """Another run of seed 42 under the name and number of 314: its first losses wobble in the fourth decimal."""
    f.log(314).write_text(
        log_text(314, losses=tuple(x + d for x, d in zip(FIRST[42], (2e-4, -3e-4, 1e-4, 2e-4), strict=True)))
    )


def oversize(f):
    f.edit("train_seed999.log", "brotli: 15975199 bytes", "brotli: 15995199 bytes")
    f.edit("train_seed999.log", "brotli: 15990199 bytes", "brotli: 16010199 bytes")


def sizes_do_not_add_up(f):
    f.edit("train_seed42.log", "brotli: 15975142 bytes", "brotli: 15970142 bytes")


def claimed_total_without_the_code(f):
    f.claim(bytes_total=15_975_199)


def overtime(f):
    f.edit_logs("train_time: 5870", "train_time: 6015")


def calibration_over(f):
    f.edit("train_seed42.log", "Hessians in 12.7s", "Hessians in 14.7s")


def evaluation_over(f):
    f.edit("train_seed42.log", "eval_time:120961ms", "eval_time:220961ms")


def code_changed_after_the_run(f):
    f.edit("train_gpt.py", "print", "print ")


def no_readme(f):
    (f.path / "README.md").unlink()


def no_code(f):
    (f.path / "train_gpt.py").unlink()


def no_submission(f):
    (f.path / "submission.json").unlink()


def broken_submission(f):
    f.edit("submission.json", '"author"', "author")


def a_log_missing(f):
    f.log(999).unlink()


def no_logs(f):
    for seed in SEEDS:
        f.log(seed).unlink()


def other_validation_set(f):
    f.edit("train_seed314.log", "val_tokens: 40540160", "val_tokens: 40538112")


def trained_on_validation_documents(f):
    f.edit("dataset.json", '_in_train": 0', '_in_train": 40000')


def another_knob(f):
    f.edit("train_seed314.log", "ema_decay: 0.9965", "ema_decay: 0.997")


def another_model(f):
    f.edit("train_seed314.log", "model_params:35944536", "model_params:36944536")


def another_seed_in_the_log(f):
    f.edit("train_seed999.log", "seed: 999", "seed: 7")


def more_seeds_claimed(f):
    f.claim(seeds=[42, 314, 999, 1, 2])


def mean_claimed_better(f):
    f.claim(val_bpb=1.0779)


def best_seed_claimed_as_mean(f):
    f.claim(val_bpb=1.07894120)


def std_claimed_smaller(f):
    f.claim(val_bpb_std=0.00002)


def seed_value_edited(f):
    f.claims["seed_results"]["314"]["val_bpb"] = 1.07818542
    f.claim()


def seed_size_edited(f):
    f.claims["seed_results"]["314"]["artifact_bytes"] -= 1000
    f.claim()


def seed_value_edited_in_the_readme(f):
    f.edit("README.md", "| 314 | 1.07918542 | 1.08125542", "| 314 | 1.07718542 | 1.07925542")


def bpb_called_nats(f):
    f.edit("README.md", "0.00260 bpb (0.00672 nats per token)", "0.00260 bpb (0.00260 nats)")


def forgot_bytes_per_token(f):
    f.edit("README.md", "0.00260 bpb (0.00672 nats per token)", "0.0072 bpb (= 0.005 nats)")


def not_finite(f):
    f.edit("train_seed42.log", "500/20000 train_loss: 3.33", "499/20000 train_loss: nan\n500/20000 train_loss: 3.33")


def crashed(f):
    truncated_in_training(f)
    with f.log(42).open("a") as log:
        log.write("Traceback (most recent call last):\n")


def other_hardware(f):
    f.edit("train_seed42.log", "NVIDIA H100 80GB HBM3", "NVIDIA H200          ")


def pcie_cards(f):
    f.edit("train_seed42.log", "NVIDIA H100 80GB HBM3", "NVIDIA H100 PCIe     ")


def fewer_ranks(f):
    f.edit_logs("world_size: 8", "world_size: 4")


def adapted_before_it_quantised(f):
    f.edit_logs("pre-quantization post-ema", "prequant_ttt:epoch 1/6 val_bpb=1.08 lr=0.0005\npre-quantization post-ema")


def events_of_another_run(f):
    event = {"t": 0, "event": "start", "config": {"seed": 43}}
    (f.path / "events_seed42.jsonl").write_text(json.dumps(event) + "\n")


@pytest.mark.parametrize(
    ("spoil", "fails"),
    [
        (swapped_logs, {"seed-matches-name"}),
        (edited_digit, CLAIMS | {"loss-bpb-consistent"}),
        (edited_score, CLAIMS),
        (truncated_before_the_last_stage, CLAIMS | {"log-complete"}),
        (truncated_inside_the_last_stage, CLAIMS | {"log-complete"}),
        (truncated_in_training, {"log-complete"}),
        (copied_log, CLAIMS | {"seed-matches-name", "seeds-distinct", "seed-count"}),
        (copied_log_with_its_seed_edited, CLAIMS | {"seeds-distinct"}),
        (one_seed_run_twice, {"seeds-distinct"}),
        (oversize, {"artifact-bytes", "claimed-seed-values"}),
        (sizes_do_not_add_up, {"artifact-bytes"}),
        (claimed_total_without_the_code, {"artifact-bytes"}),
        (overtime, {"train-seconds", "train-plus-calibration-seconds", "claimed-seed-values"}),
        (calibration_over, {"train-plus-calibration-seconds"}),
        (evaluation_over, {"eval-seconds"}),
        (code_changed_after_the_run, {"code-bytes"}),
        (no_readme, {"required-files"}),
        (no_code, {"required-files"}),
        (no_submission, {"required-files"}),
        (broken_submission, {"required-files"}),
        (a_log_missing, {"seed-count"}),
        (no_logs, {"required-files", "log-complete", "seed-count"}),
        (other_validation_set, {"same-data"}),
        (trained_on_validation_documents, {"train-val-disjoint"}),
        (another_knob, {"same-config"}),
        (another_model, {"same-config"}),
        (another_seed_in_the_log, {"seed-matches-name"}),
        (more_seeds_claimed, {"seed-count"}),
        (mean_claimed_better, {"claimed-mean"}),
        (best_seed_claimed_as_mean, {"claimed-mean"}),
        (std_claimed_smaller, {"claimed-std"}),
        (seed_value_edited, {"claimed-seed-values"}),
        (seed_size_edited, {"claimed-seed-values"}),
        (seed_value_edited_in_the_readme, {"claimed-seed-values"}),
        (bpb_called_nats, {"units"}),
        (forgot_bytes_per_token, {"units"}),
        (not_finite, {"log-complete"}),
        (crashed, {"log-complete"}),
        (other_hardware, {"hardware"}),
        (pcie_cards, {"hardware"}),
        (fewer_ranks, {"hardware"}),
        (events_of_another_run, {"log-complete"}),
        (adapted_before_it_quantised, {"score-before-update"}),
    ],
    ids=lambda x: getattr(x, "__name__", ""),
)
def test_a_spoiled_folder_fails_exactly_these(folder, spoil, fails):
    spoil(folder)
    result = audit(folder.path)
    assert with_status(result, "fail") == fails, [c for c in result.checks if c.status == "fail"]
    assert not with_status(result, "warn"), [c for c in result.checks if c.status == "warn"]
    json.dumps(as_json([result]), allow_nan=False)


def test_one_rank_is_one_rank(folder):
    folder.edit_logs("world_size: 8", "world_size: 1")
    assert "ran 1 rank, the track" in audit(folder.path).check("hardware").message
