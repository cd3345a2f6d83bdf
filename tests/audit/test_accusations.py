"""Folders that are honest in an unusual way are not accused, and the cheat that lies next to each still fails."""

import base64
import lzma
import shutil

import pytest
from good_entry import BPB, CODE, FIRST, NATS_A_BIT, SEEDS, log_text, with_status

from pgolf.audit.audit import as_json, audit

CLAIMS = {"claimed-mean", "claimed-std", "claimed-seed-values"}
ONE_SEED = ("val_bpb_std", "seeds", "seed_results", "bytes_total")  # claims to take out for a folder of one seed
MEAN, STD = 1.07904991, 0.00012430


def claims_sliding(f, seeds=SEEDS):
    """Claim the sliding-window scores, which lie 0.00207 higher; of the other seeds the adapted ones."""
    scores = {s: round(BPB[s] + 0.00207 * (s in seeds), 8) for s in SEEDS}
    f.claim(
        val_bpb=round(sum(scores.values()) / 3, 8),
        val_bpb_std=STD if len(seeds) == 3 else None,
        seed_results={str(s): {"val_bpb": scores[s]} for s in SEEDS},
    )


def test_an_earlier_evaluation_may_be_claimed_for_every_seed(folder):
    claims_sliding(folder)
    found = audit(folder.path)
    assert not found.failed and with_status(found, "warn") == {"claimed-mean"}
    assert "leaves out what came later: quantized_ttt 1.07902311" in found.check("claimed-mean").message
    seed = as_json([found])["records"][0]["seeds"][0]
    assert (seed["final_stage"], seed["val_bpb"]) == ("quantized_sliding_window", 1.08109311)
    assert seed["eval_seconds"] == pytest.approx(25.515 + 120.961)


def test_one_name_of_two_evaluations_is_told_apart_by_their_order(folder):
    for seed in SEEDS:
        folder.edit(f"train_seed{seed}.log", "quantized_ttt val_loss", "quantized_sliding_window val_loss")
    claims_sliding(folder)
    found = audit(folder.path)
    assert not found.failed and found.runs[0].final.val_bpb == 1.08109311
    folder.claim(seed_results=None, val_bpb=1.0811)  # of the mean alone
    found = audit(folder.path)
    assert not found.failed and found.runs[0].final.val_bpb == 1.08109311


def test_an_adaptation_that_failed_for_one_seed_may_be_left_out_for_all(folder):
    claims_sliding(folder)
    text = folder.log(42).read_text()
    folder.log(42).write_text(text[: text.index("quantized_ttt")] + "RuntimeError: NCCL\n")
    found = audit(folder.path)
    assert not found.failed and {r.final.name for r in found.runs} == {"quantized_sliding_window"}


def test_nobody_chooses_for_each_seed_what_went_best_there(folder):
    for seed in SEEDS[:1]:  # its adaptation made it worse than the sliding window
        folder.edit(f"train_seed{seed}.log", f"val_bpb:{BPB[seed]:.8f}", "val_bpb:1.08200000")
        folder.edit(f"train_seed{seed}.log", f"loss:{BPB[seed] * NATS_A_BIT:.8f}", f"loss:{1.082 * NATS_A_BIT:.8f}")
    claims_sliding(folder, seeds=SEEDS[:1])
    found = audit(folder.path)
    assert with_status(found, "fail") == {"claimed-mean", "claimed-seed-values"}
    assert found.runs[0].final.name == "quantized_ttt"


def test_a_score_from_before_the_artifact_was_there_is_no_evaluation_of_it(folder):
    folder.edit_logs("pre-quantization post-ema val_loss", "final validation val_loss")
    scores = {s: round(BPB[s] + 0.0066, 8) for s in SEEDS}
    folder.claim(val_bpb=MEAN + 0.0066, seed_results={str(s): {"val_bpb": scores[s]} for s in SEEDS})
    found = audit(folder.path)
    assert found.runs[0].final.name == "quantized_ttt"
    assert with_status(found, "fail") == {"claimed-mean", "claimed-seed-values"}


def test_the_pre_quantisation_score_is_nobodys_claim(folder):
    scores = {s: round(BPB[s] + 0.0066, 8) for s in SEEDS}
    folder.claim(val_bpb=MEAN + 0.0066, seed_results={str(s): {"val_bpb": scores[s]} for s in SEEDS})
    assert with_status(audit(folder.path), "fail") == {"claimed-mean", "claimed-seed-values"}


@pytest.mark.parametrize(
    ("claims", "fails", "warns"),
    [
        ({"val_bpb": 1.0790499133333333}, set(), set()),  # the trainer's float
        ({"val_bpb": 1.0790399133333333}, {"claimed-mean"}, set()),
        ({"val_bpb": 1.07894120, "mean_val_bpb": MEAN}, set(), {"claimed-mean"}),  # the best seed, and the mean
        ({"val_bpb": 1.07894120, "mean_val_bpb": 1.0789}, {"claimed-mean"}, set()),  # no mean
        ({"val_bpb": 1.07894120, "notes": "3-seed mean 1.0790"}, set(), {"claimed-mean"}),
        ({"val_bpb": 1.07894120, "notes": "3-seed best 1.0790"}, {"claimed-mean"}, set()),
        (
            {"val_bpb": 1.07904, "val_loss": 2.78731},
            set(),
            {"claimed-mean"},
        ),  # too high a loss, beside a bpb that is right
        ({"val_bpb": 1.07905, "val_loss": 2.7801}, {"claimed-mean"}, set()),
        ({"val_bpb": 1.0790333333333333}, set(), {"claimed-mean"}),  # the mean of 1.0790, 1.0792 and 1.0789
        ({"val_bpb": 1.07894120, "ttt": {"mean_ttt_bpb": 1.07905}}, set(), {"claimed-mean"}),
        ({"val_bpb_std": 0.0, "p_value": 1.0, "sampling": {"p": 0.9, "t": 1.2}}, set(), set()),  # blanks, and others
        ({"seed_results": {"1": 1.0791, "2": 1.0792, "3": 1.0789}, "seeds": 3}, set(), set()),  # counted, not seeds
        ({"val_bpb_std": 0.00012472191289}, set(), {"claimed-std"}),  # of the same, divided by n
        ({"bytes_total": 15_991_001}, set(), {"artifact-bytes"}),  # more than any log
        ({"bytes_total": 15_990_000}, set(), set()),  # rounded
        ({"bytes_total": 15_980_001}, {"artifact-bytes"}, set()),
    ],
)
def test_a_claim_and_what_it_hides(folder, claims, fails, warns):
    folder.claim(**claims)
    found = audit(folder.path)
    assert (with_status(found, "fail"), with_status(found, "warn")) == (fails, warns), [
        c for c in found.checks if c.status in ("fail", "warn")
    ]


def test_another_count_of_bytes_that_makes_every_score_worse_is_a_warning(folder):
    loss = {s: round(BPB[s] * NATS_A_BIT, 8) for s in SEEDS}
    worse = {s: round(BPB[s] * 1.05, 8) for s in SEEDS}
    folder.claim(
        val_bpb=round(sum(worse.values()) / 3, 8),
        val_bpb_std=None,
        seed_results={str(s): {"val_bpb": worse[s], "val_loss": loss[s]} for s in SEEDS},
    )
    found = audit(folder.path)
    assert not found.failed and with_status(found, "warn") == {"claimed-mean", "claimed-seed-values"}
    better = {s: round(BPB[s] * 0.95, 8) for s in SEEDS}
    folder.claim(
        val_bpb=round(sum(better.values()) / 3, 8),
        seed_results={str(s): {"val_bpb": better[s], "val_loss": loss[s]} for s in SEEDS},
    )
    assert with_status(audit(folder.path), "fail") == {"claimed-mean", "claimed-seed-values"}


@pytest.mark.parametrize(
    ("name", "fails"), [("train_seed42_2024.log", set()), ("train_seed7_2024.log", {"seed-matches-name"})]
)
def test_a_name_may_have_other_numbers(folder, name, fails):
    folder.log(42).rename(folder.path / name)
    assert with_status(audit(folder.path), "fail") == fails


def test_names_that_count_the_runs_are_no_seeds(folder):
    for number, seed in enumerate(SEEDS, 1):
        folder.log(seed).rename(folder.path / f"train_seed{number}.log")
    assert not audit(folder.path).failed
    folder.edit("train_seed2.log", "seed: 314", "seed: 42")  # one seed under two names
    assert {"seeds-distinct", "seed-count"} <= with_status(audit(folder.path), "fail")


def test_arms_of_an_experiment_are_no_seeds(folder):
    for seed in SEEDS[1:]:
        folder.log(seed).unlink()
    arm = log_text(42, 1.0795, tuple(x + 0.03 for x in FIRST[42])).replace("matrix_lr: 0.022", "matrix_lr: 0.03")
    (folder.path / "arm_lr_seed42.log").write_text(arm)
    folder.claim(track="non_record_16mb", val_bpb=BPB[42], **dict.fromkeys(ONE_SEED))
    found = audit(folder.path)
    assert not found.failed and with_status(found, "warn") == {"seed-count"}
    other = as_json([found])["records"][0]["other_runs"]
    assert [(r["log"], r["seed"], r["val_bpb"]) for r in other] == [("arm_lr_seed42.log", 42, 1.0795)]
    folder.claim(val_bpb=1.0712)  # of neither
    assert with_status(audit(folder.path), "fail") == {"claimed-mean"}


@pytest.mark.parametrize(("name", "knob"), [("baseline_seed{}.log", ""), ("train_seed{}_a.log", "matrix_lr: 0.03")])
def test_the_logs_of_a_baseline_are_no_seeds_of_the_record(folder, name, knob):
    """Six logs of three seeds, of which three make the claimed mean."""
    for seed in SEEDS:
        text = log_text(seed, BPB[seed] + 0.01, tuple(x + 0.03 for x in FIRST[seed]))
        (folder.path / name.format(seed)).write_text(text.replace("matrix_lr: 0.022", knob or "matrix_lr: 0.022"))
    folder.claim(seed_results=None, bytes_total=None)
    found = audit(folder.path)
    assert not found.failed and with_status(found, "warn") == {"seed-count"}
    assert sorted(r.log.name for r in found.other_runs) == sorted(name.format(s) for s in SEEDS)
    folder.claim(val_bpb=1.0780)  # of neither
    assert "claimed-mean" in with_status(audit(folder.path), "fail")


def test_no_seed_is_hidden_by_its_name(folder):
    """The worst seed under another name: two logs make the claimed mean, and the third is told of."""
    folder.log(314).rename(folder.path / "rerun_seed314.log")
    folder.claim(seed_results=None, bytes_total=None, val_bpb=1.078982155, val_bpb_std=None)
    found = audit(folder.path)
    assert "seed-count" in with_status(found, "fail")
    assert "rerun_seed314.log is a run of seed 314 that is not among the claimed" in found.check("seed-count").message


def test_reruns_of_one_seed_are_not_chosen_from(folder):
    for seed in SEEDS[1:]:
        folder.log(seed).unlink()
    rerun = log_text(42, 1.0795, tuple(x + 1e-5 for x in FIRST[42]))
    (folder.path / "train_seed42_again.log").write_text(rerun)
    folder.claim(track="non_record_16mb", val_bpb=BPB[42], **dict.fromkeys(ONE_SEED))
    found = audit(folder.path)
    assert len(found.runs) == 2 and "alone" in found.check("claimed-mean").message


def test_a_cache_that_decides_the_score_makes_no_two_seeds_one(folder):
    for seed in SEEDS:
        old, new = (
            f"val_loss:{BPB[seed] * NATS_A_BIT:.8f} val_bpb:{BPB[seed]:.8f}",
            "val_loss:0.25831028 val_bpb:0.10000000",
        )
        folder.edit(f"train_seed{seed}.log", f"quantized_ttt {old}", f"final_ngram_exact {new}")
    assert audit(folder.path).check("seeds-distinct").status == "pass"


@pytest.mark.parametrize("unit", [1.0, 0.6931471805599453])
def test_a_loss_that_repeats_the_score_tells_nothing_of_bytes(folder, unit):
    for seed in SEEDS:
        old = f"quantized_ttt val_loss:{BPB[seed] * NATS_A_BIT:.8f}"
        folder.edit(f"train_seed{seed}.log", old, f"quantized_ttt val_loss:{BPB[seed] * unit:.8f}")
    folder.claim(seed_results=None)
    assert not audit(folder.path).failed


def test_a_loss_of_four_digits_is_as_exact_as_four_digits(folder):
    for seed in SEEDS:
        loss = BPB[seed] * NATS_A_BIT
        folder.edit(f"train_seed{seed}.log", f"quantized_ttt val_loss:{loss:.8f}", f"quantized_ttt val_loss:{loss:.4f}")
    found = audit(folder.path)
    assert not found.failed and found.check("loss-bpb-consistent").status == "pass"


def test_sizes_of_seeds_that_count_the_code_as_packed(folder):
    for s in SEEDS:
        folder.claims["seed_results"][str(s)]["artifact_bytes"] -= 5000
    folder.claim(bytes_total=None, bytes_code=None)
    assert with_status(audit(folder.path), "fail") == {"claimed-seed-values"}  # the file here has 15,000 bytes
    (folder.path / "train_gpt.py").unlink()
    assert with_status(audit(folder.path), "fail") == {"required-files"}
    folder.claims["seed_results"]["42"]["artifact_bytes"] -= 1
    folder.claim()
    assert with_status(audit(folder.path), "fail") == {"required-files", "claimed-seed-values"}


def test_an_artifact_of_three_parts_adds_up(folder):
    for seed in SEEDS:
        two = seed % 100
        folder.edit(f"train_seed{seed}.log", f"{15_975_100 + two} bytes", f"{15_970_100 + two} bytes")
    assert with_status(audit(folder.path), "fail") == {"artifact-bytes"}
    folder.edit_logs("Total submission", "Prefix blob: 5,000 bytes\nTotal submission")
    assert not audit(folder.path).failed
    folder.edit_logs("Prefix blob: 5,000", "Prefix blob: 4,000")
    assert with_status(audit(folder.path), "fail") == {"artifact-bytes"}


def test_code_that_extracts_itself_is_the_code_that_ran(folder):
    """The logs ran the source, and are over the cap with it; the folder has it packed."""
    for seed in SEEDS:
        folder.edit(f"train_seed{seed}.log", f"{15_975_100 + seed % 100} bytes", f"{15_990_100 + seed % 100} bytes")
        folder.edit(
            f"train_seed{seed}.log", f"{15_990_100 + seed % 100} bytes\nq", f"{16_005_100 + seed % 100} bytes\nq"
        )
    folder.claim(bytes_total=None, bytes_code=None, seed_results=None)
    assert with_status(audit(folder.path), "fail") == {"artifact-bytes"}
    packed = base64.b85encode(lzma.compress(CODE.encode())).decode()
    script = f'import lzma,base64\nexec(lzma.decompress(base64.b85decode("{packed}")))\n'
    (folder.path / "train_gpt.py").write_text(script)
    found = audit(folder.path)
    assert not found.failed and not with_status(found, "warn")
    assert f"at most {15_990_199 + len(script):,} bytes" in found.check("artifact-bytes").message
    (folder.path / "train_gpt.py").write_text(script.replace("lzma,base64", "lzma, base64") + "#" * 9_900)
    assert with_status(audit(folder.path), "fail") == {"artifact-bytes"}  # the file is over the cap
    other = base64.b85encode(lzma.compress(CODE.encode() + b"#")).decode()
    (folder.path / "train_gpt.py").write_text(script.replace(packed, other))
    assert with_status(audit(folder.path), "fail") == {"artifact-bytes", "code-bytes"}  # other code than what ran


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("[rank0] pre-quant TTT: start epochs=6", "fail"),
        ("pre_quant_adamw_ttt: epoch 3/6 loss 2.79", "fail"),
        ("prequantization_ttt:done 41.0s", "fail"),
        ("ttt_epoch:1/30 loss:1.95", "warn"),
        ("gptq:collecting hessians batches=64 source=val", "fail"),
        ("gptq:collecting hessians batches=64 source=train", "pass"),
        ("ngram_pass2: rescoring all chunks with full cache (63 chunks)", "fail"),
        ("ttt no_rescore: true", "pass"),
        ("prequant_ttt: skipped, start at 0", "pass"),
        ("prequant_ttt_enabled: False", "pass"),
        ("ttt_chunk 5/1238 epoch 1/3 bpb:1.08", "pass"),
        ("ttt epoch 1/1", "pass"),
        ("the pre-quant score starts the table", "pass"),
    ],
)
def test_adaptation_before_the_score(folder, line, status):
    folder.edit_logs("quantized val_loss", f"{line}\nquantized val_loss")
    assert audit(folder.path).check("score-before-update").status == status
    folder.claim(track="non_record_16mb")
    assert audit(folder.path).check("score-before-update").status == ("warn" if status == "fail" else status)


@pytest.mark.parametrize("place", ["a/b/c/d", ""])
@pytest.mark.parametrize("name", ["train_seed42.log", " train_seed42.log"])
def test_logs_are_found_where_they_lie(folder, place, name):
    (folder.path / place).mkdir(parents=True, exist_ok=True)
    shutil.move(folder.log(42), folder.path / place / name)
    found = audit(folder.path)
    assert not found.failed and not with_status(found, "warn") and len(found.runs) == 3
    assert len(CODE) == 15_000


def test_a_deep_or_broad_folder_is_read_in_bounds(folder):
    (folder.path / "/".join("x" * 60)).mkdir(parents=True)
    (folder.path / "many").mkdir()
    for i in range(400):
        (folder.path / "many" / f"{i}.log").write_text("nothing\n")
    assert len(audit(folder.path).runs) <= 3
