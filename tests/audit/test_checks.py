"""A good folder passes; each way of spoiling it makes exactly the expected checks fail. No honest seed is accused."""

import json
import math
import shutil
from pathlib import Path

import pytest
from good_entry import BPB, CODE, FIRST, NATS_A_BIT, SEEDS, Folder, log_text

from pgolf import tracks
from pgolf.audit.audit import as_json, audit, audit_folders, record_folders
from pgolf.errors import BadInput

PUBLIC = Path(__file__).resolve().parents[3] / "shared" / "public-records"
CLAIMS = {"claimed-mean", "claimed-std", "claimed-seed-values"}


@pytest.fixture
def folder(tmp_path):
    f = Folder(tmp_path / "2026-04-25_A_Record")
    f.write()
    return f


@pytest.fixture
def previous(tmp_path):
    """The record before: the same stack, 0.00260 bpb worse, with four epochs and another learning rate."""
    f = Folder(tmp_path / "2026-04-09_Before")
    f.write()
    for seed in SEEDS:
        text = log_text(seed, BPB[seed] + 0.00260, tuple(x + 0.02 for x in FIRST[seed]))
        f.log(seed).write_text(
            text.replace("ttt_epochs: 3", "ttt_epochs: 4").replace("matrix_lr: 0.022", "matrix_lr: 0.02")
        )
    return f


def with_status(result, status):
    return {c.id for c in result.checks if c.status == status}


def test_a_good_folder_passes(folder, previous):
    result = audit(folder.path)
    assert {c.id for c in result.checks if c.status != "pass"} == {"delta-disclosed", "attribution"}  # nothing named
    assert not result.failed
    against = audit(folder.path, against=previous.path)
    assert {c.status for c in against.checks} == {"pass"}, [c for c in against.checks if c.status != "pass"]
    assert against.comparison.outcome == "clears"
    assert math.isclose(against.mean_val_bpb, 1.07904991, abs_tol=1e-8)


# --- spoiling it


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


def loss_is_bpb(f):
    f.claim(val_loss=1.07904991)


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
        (loss_is_bpb, {"claimed-mean", "units"}),
        (bpb_called_nats, {"units"}),
        (forgot_bytes_per_token, {"units"}),
        (not_finite, {"log-complete"}),
        (crashed, {"log-complete"}),
        (other_hardware, {"hardware"}),
        (pcie_cards, {"hardware"}),
        (fewer_ranks, {"hardware"}),
        (events_of_another_run, {"log-complete"}),
    ],
    ids=lambda x: getattr(x, "__name__", ""),
)
def test_a_spoiled_folder_fails_exactly_these(folder, spoil, fails):
    spoil(folder)
    result = audit(folder.path)
    assert with_status(result, "fail") == fails, [c for c in result.checks if c.status == "fail"]
    assert not with_status(result, "warn"), [c for c in result.checks if c.status == "warn"]
    json.dumps(as_json([result]), allow_nan=False)


# --- what is irregular, but no failure


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
    f.claim(track="non-record-unlimited-16mb")


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


# --- against the previous record


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
        previous.log(seed).write_text(
            text.replace("val_bpb:1.08", "val_bpb:1.09").replace("val_loss:2.79", "val_loss:2.82")
        )
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


# --- folders that cannot be read, and folders that mean harm


def test_unreadable(tmp_path, folder):
    with pytest.raises(BadInput, match="no folder"):
        audit(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadInput, match="not a record folder"):
        audit(tmp_path / "empty")
    with pytest.raises(BadInput, match="no ledger entry 'pr1492'"):
        audit(folder.path, against="pr1492")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        "[" * 100_000,
        '{"val_bpb": NaN, "seeds": "x"}',
        '{"val_bpb": 1e999999999, "seed_results": {"42": null, "x": 3}}',
        '{"val_bpb": {"a": 1}, "seeds": [[1]], "seed_results": [1, {"seed": 42, "val_bpb": "x"}]}',
        '{"seeds": {"42": 1.07902311}, "p_value": "tiny", "name": "\\u0000[red]<script>|"}',
        '{"n_seeds": 3.5, "track": "../../etc", "val_bpb_std": -1}',
        '{"a": ' * 200 + "1" + "}" * 200,
        '{"seed_results": {' + ",".join(f'"{i}": 1.0' for i in range(20_000)) + "}}",
    ],
)
def test_hostile_submissions_harm_nothing(folder, text):
    (folder.path / "submission.json").write_text(text)
    result = audit(folder.path)
    json.dumps(as_json([result]), allow_nan=False)
    assert BPB[42] in [r.final.val_bpb for r in result.runs]


@pytest.mark.parametrize(
    "words", ["9" * 1_000_000, "1 bpb " * 150_000, " " * 500_000 + "p", "1e" + "9" * 9000 + " nats", "|" * 500_000]
)
def test_hostile_readmes_harm_nothing(folder, words):
    (folder.path / "README.md").write_text(f"p < {words} 0.1 bpb = {words} nats, t = {words}")
    assert audit(folder.path, against="pr1394").check("units").status != "fail"


def test_links_out_of_the_folder_are_not_followed(folder, tmp_path):
    secret = tmp_path / "secret.log"
    secret.write_text(log_text(42, 1.0).replace("seed: 42", "seed: 5"))
    (folder.path / "train_seed5.log").symlink_to(secret)
    assert [r.seed.value for r in audit(folder.path).runs] == sorted(SEEDS)


# --- public records


@pytest.fixture(scope="module")
def public():
    if not PUBLIC.is_dir():
        pytest.skip("the public records are not here")
    return {a.folder.name: a for a in audit_folders(record_folders(PUBLIC))}


def test_no_honest_public_seed_is_accused(public):
    status = {name: a.check("seeds-distinct").status for name, a in public.items()}
    copies = {name: s for name, s in status.items() if s != "pass"}
    assert copies == {
        "2026-03-22_11L_EMA_GPTQ-lite_warmdown3500_QAT015_1.1233": "warn",  # train.log is a copy
        "2026-04-06_SP8192_HessianSDClip_ProgressiveRecurrence": "warn",  # train.log is a copy
    }
    assert len(status) == 24


def test_public_means_and_counts(public):
    found = {name[:10]: (len(a.runs), round(a.mean_val_bpb, 8)) for name, a in public.items()}
    assert found["2026-03-22"] == (3, 1.12331641)
    assert found["2026-04-05"] == (5, 1.08562480)
    assert found["2026-04-23"] == (3, 1.06334950)  # scores of the separate evaluations that it claims
    assert public["2026-04-09_SP8192_3LayerRecur_ParResid_QK525_LegalTTT"].mean_val_bpb == pytest.approx(1.0810028767)


@pytest.mark.parametrize(
    ("record", "check", "status", "words"),
    [
        ("2026-04-18_PR1626_CaseOps_Taper", "seed-matches-name", "fail", "train_seed0.log ran seed 1337"),
        ("2026-03-18_LowerLR", "hardware", "fail", "H200"),
        ("2026-04-06_SP8192_HessianSDClip_ProgressiveRecurrence", "artifact-bytes", "fail", "54,963 over"),
        ("2026-04-08_SP8192_ParallelResid_ScoreFirstTTT", "claimed-seed-values", "fail", "15,990,916"),
        ("2026-04-13_VarLenAttn_PhasingTTT2000", "claimed-std", "warn", "0.00056869"),
        (
            "2026-04-27_SmearGateBOSFix_PR1787Base_LQERAsym_PhasedTTT",
            "train-plus-calibration-seconds",
            "fail",
            "603.123",
        ),
        ("2026-04-09_SP8192_3LayerRecur_ParResid_QK525_LegalTTT", "train-plus-calibration-seconds", "warn", "600.747"),
        ("2026-04-09_SP8192_3LayerRecur_ParResid_QK525_LegalTTT", "same-config", "warn", "ttt_hash_embed"),
        ("2026-03-19_Seq2048_FP16Emb_TunedLR", "claimed-mean", "warn", "train_seed3.log alone"),
        ("2026-03-19_MLP3x_QAT_Int6_SlidingWindow", "seed-count", "fail", "claims 3 seeds"),
        ("2026-04-05_SP8192_GPTQ-Embeddings_SDClip_Loop45x2", "claimed-mean", "pass", "1.08563"),
    ],
)
def test_what_public_logs_show(public, record, check, status, words):
    found = public[record].check(check)
    assert found.status == status and words in found.message, found
    assert found.evidence or check in ("seed-count",)


def test_a_public_seed_run_twice_is_found(folder):
    """Two public reruns of one seed, dressed as two seeds: names, seed lines and claims all edited."""
    if not PUBLIC.is_dir():
        pytest.skip("the public records are not here")
    for seed, version in zip(SEEDS, (0, 2, 3), strict=True):
        text = (PUBLIC / f"2026-03-17_LoRA_TTT/train_v{version}.txt").read_text()
        folder.log(seed).write_text(text.replace("seed:1337", f"seed:{seed}"))
    check = audit(folder.path).check("seeds-distinct")
    assert check.status == "fail" and check.message.count("one seed run again") == 3


def test_the_json_has_the_agreed_shape(folder, previous):
    folder.edit("train_seed42.log", "Code size: 15000 bytes\n", "")
    record = json.loads(json.dumps(as_json(audit_folders([folder.path], against=previous.path)), allow_nan=False))[
        "records"
    ][0]
    assert list(record) == [
        "folder",
        "track",
        "claimed",
        "seeds",
        "mean_val_bpb",
        "std_val_bpb",
        "bytes_per_token",
        "significance",
        "checks",
    ]
    seed = record["seeds"][0]
    assert list(seed) == [
        "seed",
        "log",
        "stages",
        "final_stage",
        "val_bpb",
        "val_loss",
        "artifact_bytes",
        "code_bytes",
        "train_seconds",
        "calibration_seconds",
        "eval_seconds",
        "steps",
        "hyperparameters",
    ]
    assert (seed["seed"], seed["log"], seed["final_stage"]) == (42, "train_seed42.log", "quantized_ttt")
    assert seed["code_bytes"] is None and seed["train_seconds"] == 587.042
    assert list(seed["stages"][0]) == ["stage", "val_loss", "val_bpb", "eval_seconds"]
    assert record["significance"]["verdict"].startswith("clears the bar")
    assert list(record["checks"][0]) == ["id", "status", "message", "evidence"]
    assert len({c["id"] for c in record["checks"]}) == 22
    assert len(CODE) == 15_000
