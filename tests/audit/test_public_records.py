"""The public records: no honest seed is accused, and what their logs show is found. The shape of the JSON."""

import json
from pathlib import Path

import pytest
from good_entry import CODE, SEEDS

from pgolf.audit.archive import record_folders
from pgolf.audit.audit import as_json, audit, audit_folders

PUBLIC = Path(__file__).resolve().parents[3] / "shared" / "public-records"


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


def test_no_public_record_adapts_before_it_scores(public):
    assert {a.check("score-before-update").status for a in public.values() if a.runs} == {"pass"}


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
        ("2026-04-08_SP8192_ParallelResid_ScoreFirstTTT", "claimed-seed-values", "warn", "15,990,916"),
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
        "other_runs",
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
    assert len({c["id"] for c in record["checks"]}) == 23
    assert len(CODE) == 15_000
