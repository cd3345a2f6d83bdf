"""A value is read by its number, its unit and the words for what it is, in forms that no table lists."""

import pytest
from log_lines import HEAD, SCORE, STOP, TRAIN

PARAMETERS = "model_params:33000000\n"


def after(read, lines: str):
    """The run of a log that ends with these lines."""
    return read(HEAD + PARAMETERS + TRAIN + STOP + lines + "\n")


# --- sizes: of the artifact that counts


@pytest.mark.parametrize(
    ("lines", "size"),
    [
        ("model:15103391 code:61581 total:15164972 (15.16 MB)", 15164972),
        ("Artifact: 15103390 bytes, code: 61581 bytes, total: 15164971 bytes", 15164971),
        ("Serialized zstd-22: 15103392 bytes  Total: 15164973 bytes", 15164973),
        ("int6_brotli: 14,622,509 bytes | code: 92,132 | total: 14,714,641 (14.71MB)", 14714641),
        ("total:15912981B", 15912981),
        ("RESULT | val_bpb=1.1260 | artifact=15912345 | train_time=598.3s", 15912345),
        ("- Total submission: 15,508,500 bytes (15.5 MB)", 15508500),
        ("Total submission size: 15,852,125 bytes (147,875 bytes under the 16 MB limit)", 15852125),
        ("Artifact total (code + model): 15,875,234", 15875234),
        ("Submission size: 15.9 MB (15,912,345 bytes)", 15912345),
        ("Size: 11,209,808 bytes (limit: 16,000,000)", 11209808),
        ("Size check PASSED: 12499612 / 16,000,000 (78.1%)", 12499612),
        ("final_summary artifact:15,627,303 code:78,226 total:15,705,529 fits:YES headroom:294,471", 15705529),
        ("Validated artifact from disk: 5645856 bytes (max_abs_diff:0.0)", 5645856),
        ("Compressed model: 12971408 bytes\nCode: 29164 bytes\nTOTAL: 13.00 MB", 13000572),
        ("final_model.int6.ptz: 15,820,111 bytes\ntrain_gpt.py: 55,123 bytes", 15875234),
        ("Model size: 15,345,678 bytes\nCode size: 50,000 bytes", 15395678),  # too few for 33 M floats
        ("Serialized model int6: 15103390 bytes\nCode size: 61581 bytes\nArtifact: 15103390 bytes", 15164971),
        ("Compressed model: 12,000,000 bytes\nCode: 50,000 bytes\nTokenizer: 353,000 bytes", 12403000),
        ("int6+lzma blob: 15,000,000 bytes, code: 55,000 bytes, ngram table: 298,802 bytes", 15353802),
    ],
)
def test_the_artifact_in_any_form(read, lines, size):
    run = after(read, lines)
    assert run.artifact_bytes and run.artifact_bytes.value == size


@pytest.mark.parametrize(
    "line",
    [
        "artifact_headroom: 98770 bytes remaining",
        "Submission size limit: 16000000 bytes",
        "artifact size estimate: 14,500,000 bytes",
        "selective_prune: probe prune_n=240849 total_bytes=16405588 total_mb=15.6456",
        "Under limit by 124,766 bytes",
        "lora budget=80000 bytes, used=79944 bytes, tensors=20",
        "passthrough_tensor:skip_weights shape:[5, 512] bytes:10240",
        "peak memory total: 19807000000 bytes",
        "val_loader: tokens:62021632 total_bytes:151080891",
        "Serialized model: 135431033 bytes",
        "  total                   : 50,332,176",
    ],
)
def test_bytes_of_something_else(read, line):
    known = "Serialized model int6: 15900000 bytes\nCode size: 1230 bytes\nTotal submission size int6: 15901230 bytes\n"
    assert after(read, line).artifact_bytes is None
    assert after(read, known + line).artifact_bytes.value == 15901230


@pytest.mark.parametrize("line", ["Loaded tokenizer: 353,000 bytes", "ngram table buffers: 4194304 bytes"])
def test_what_is_only_loaded_is_no_third_part(read, line):
    run = after(read, f"Compressed model: 12,000,000 bytes\nCode: 50,000 bytes\n{line}")
    assert run.artifact_bytes.value == 12050000


def test_an_artifact_beside_its_code_may_be_the_model_alone(read):
    assert after(read, "artifact: 15103390 bytes, code: 61581 bytes").artifact_bytes is None


@pytest.mark.parametrize("swapped", [False, True])
def test_of_two_compressors_the_one_that_was_scored(read, swapped):
    totals = ["Total submission size int8+zlib: 16758490 bytes\n", "gptq_int6: 15,000,000 bytes | total: 15,021,049\n"]
    lines = "".join(totals[::-1] if swapped else totals)
    run = after(read, lines + "final_int6_sliding_window_exact val_loss:1.89 val_bpb:1.12060000")
    assert run.artifact_bytes.value == 15021049


# --- scores: by any name, each once


@pytest.mark.parametrize(
    ("line", "bpb"),
    [
        ("Quantized BPB: 1.0276", 1.0276),
        ("Quantized BPB (all layers): 1.0276", 1.0276),
        ("BPB (int6 roundtrip): 1.0276", 1.0276),
        ("final_hedge: nn_bpb=1.1210 blended_bpb=1.0276 elapsed=200s", 1.0276),
        ("ngram_eval model_bpb:1.1196 ngram_bpb:1.0276 time:300.1s", 1.0276),
        ("ppm_full tokens=40540160 bytes=151078222 mix_bpb=1.0276 ppm_only=2.34 nn_byte_bpb=1.1017", 1.0276),
        ("final_int6_roundtrip val_loss:1.9773 val_bpb:1.0276 exact:1.02760855 eval_time:34030ms", 1.02760855),
        ('{"event": "final", "post_ttt_val_bpb": 1.0276, "val_loss": 2.7, "eval_time_ms": 12000}', 1.0276),
        ("sliding loss 2.7812  bpb 1.0276  t 80s", 1.0276),
        ("Final:\n  - val_loss: 2.7812\n  - val_bpb: 1.0276\n", 1.0276),
        ("roundtrip bits per byte: 1.0276", 1.0276),
        ("Final metrics: {'val_loss': 2.7812, 'val_bpb': 1.0276}", 1.0276),
        ("Sliding window eval complete: 1.0276 BPB (74.1s)", 1.0276),
    ],
)
def test_a_score_by_any_name(read, line, bpb):
    run = after(read, line)
    assert run.final and run.final.val_bpb == bpb


@pytest.mark.parametrize(
    "line",
    [
        "mean val_bpb: 1.1203 std: 0.0002",
        "seeds 42, 7: val_bpb 1.1203",
        "seed 7: val_bpb 1.1201",  # this run is seed 42
        "control_bpb=1.32170177",
        "quant_gap: 0.0142 BPB (pre:1.1635 post:1.1777)",
        "Quantization degradation bpb: 0.0089",
        "ttt result: 0.0089 BPB better",
        "ttt epoch:3/30 loss:1.8513 bpb:1.10",
        "ngram_pass: window 500 bpb=0.9",
        "  VAL  loss 7.0919  bpb 4.2002 * (saved)",
        "Baseline results:\n  val_bpb: 1.3319",
        "nohup val_bpb:enabled",
    ],
)
def test_no_score_of_this_run(read, line):
    assert after(read, line).final is None


def test_what_is_scored_while_training_goes_on_is_no_result(read):
    run = read(HEAD + TRAIN + "ema val check val_bpb:1.31\n901/20000 train_loss: 2.9 train_time: 9.9m tok/s: 8\n")
    assert run.stages == []


SLIDING = "final_int6_sliding_window_exact val_loss:1.92420853 val_bpb:1.13920000 eval_time:80000ms\n"
LEGAL = "legal_ttt_exact val_loss:1.89124174 val_bpb:1.12010000 eval_time:330263ms\n"


@pytest.mark.parametrize(
    "again",
    [
        "Final BPB: " + SLIDING,
        "=== val_bpb lines ===\n" + SLIDING + LEGAL,
        "SUMMARY sliding_bpb: 1.1392 final_bpb: 1.1201\n",
        "seed=42 val_bpb=1.12010000 val_loss=1.89124174 steps=900 elapsed_s=1200.1\n",
        "=== Results ===\nsliding BPB: 1.1392\n",
        "seed: 42\n" + SLIDING,
        '{"seed": 42, "sliding_bpb": 1.1392, "step": 900}\n',
    ],
)
def test_results_quoted_again_change_nothing(read, again):
    run = after(read, SLIDING + LEGAL + again)
    assert (run.seed.value, run.final.val_bpb, run.final.kind) == (42, 1.1201, "ttt")
    assert run.eval_seconds == pytest.approx(410.263)


def test_passes_inside_a_pass_quoted_again_change_nothing(read):
    lines = (
        SLIDING
        + "two_pass: Pass 1 done val_bpb=1.139200 time=88.5s\ntwo_pass: Pass 2 done val_bpb=0.093504 time=37.5s\n"
        "two_pass val_loss:0.1579 val_bpb:0.0935 eval_time:157370ms\n"
    )
    assert after(read, lines + "=== val_bpb lines ===\n" + lines).eval_seconds == pytest.approx(237.37)


def test_a_log_printed_twice_keeps_what_only_its_first_half_says(read):
    run = read(HEAD + TRAIN + STOP + SCORE + "train_shards: 80\n" + TRAIN + STOP + SCORE)
    assert run.seed and (run.seed.value, run.final.val_bpb, run.train_seconds.value) == (42, 1.08079352, 588.047)
    assert "ttt_epochs" in run.hyperparameters


# --- times


@pytest.mark.parametrize(
    ("lines", "seconds"),
    [
        (
            "ttt_sliding:done val_loss=1.891242 val_bpb=1.12010000 elapsed=330.0s\n" + LEGAL,
            330.263,
        ),  # inside the caller's
        ("ppm_mixer mix_bpb=1.0312 time=120.0s\nppm_sliding mix_bpb=1.0312 elapsed=300.2s\n", 300.2),
        (
            "two_pass: Pass 1 done val_bpb=1.121196 time=88.5s\ntwo_pass: Pass 2 done val_bpb=0.093504 time=37.5s\n"
            "two_pass val_loss:0.1579 val_bpb:0.0935 eval_time:157370ms\n",
            157.37,
        ),
        (
            SLIDING + "two_pass: Pass 1 done val_bpb=1.139200 time=88.5s\ntwo_pass val_bpb:0.9350 eval_time:157s\n",
            237.0,
        ),
        ("legal_ttt val_loss:1.8912 val_bpb:1.1201 eval_time:0ms\n", None),
        ("legal_ttt_exact val_loss:1.8912 val_bpb:1.1201 eval_time:0ms\nnative:total_pass_time:106.4s\n", 106.4),
        ("Final val_bpb: 1.1201\nEval time: 74.1s\n", 74.1),
        ("Roundtrip check took 8.6748s\nFINAL QUANTIZED - val_loss:2.0795 val_bpb:1.2331\n", 8.6748),
        ("ttt:done elapsed=400.5s\nttt:elapsed=400.5s\nfinal_int6_roundtrip val_bpb:1.1201 eval_time:2s\n", 402.5),
        ("ttt:done elapsed=43.1s\n" + LEGAL, 330.263),  # inside the pass that it is for
        ("prequant_ttt:done in 376.8s (8 gpus)\n" + LEGAL, 330.263),
        ("final_ngram val_loss:0.0000 val_bpb:0.0000 eval_time:431s\nfinal_ngram_exact val_bpb:0.00000034\n", 431.0),
    ],
)
def test_a_pass_is_timed_once(read, lines, seconds):
    run = after(read, lines)
    assert run.final and run.eval_seconds == (seconds and pytest.approx(seconds))


STEPS = "1/900 train_loss: 9.01 train_time: 0.0m\n500/900 train_loss: 8.0 train_time: 5.0m\n"


@pytest.mark.parametrize(
    ("lines", "seconds"),
    [
        ("stopping_early: wallclock_cap train_time:0ms step:600/900\n", None),
        ("step:600/900 train_loss:7 train_time:601900ms\nstopping_early: train_time:599900ms step:600/900\n", None),
        ("stopping_early: wallclock_cap train_time:299000ms step:600/900\n", 299.0),  # 5.0m may be 298 s
        ("stopping_early: train_time:599900ms step:600/900\nTotal training time: 1129.5s\n", 599.9),
        ("Training complete in 590s (600 steps)\n", 590.0),
        ("Total training time: 598.1 seconds (9.97 min)\n", 598.1),
        ("training_seconds: 301.9\n", 301.9),
        ("[run 3] Finished training at step 600 after 598.3s\n", 598.3),
        ("step:613/900 train_time:591105ms step_avg:106.74ms\n", 591.105),  # a clock without a loss
        ("step:613/900 val_loss:2.1 val_bpb:1.3 train_time:591105ms\n", 591.105),  # validated out of turn
        ("step:600/900 val_loss:2.1 val_bpb:1.3 train_time:591105ms\n", None),
        ("step   900/900 | loss 2.1254 | lr_mul 1.0000 | 3.13 steps/s | 549s\n", 549.0),
        ("s:900/900 tl:1.95 t:598s\ns:900/900 vl:1.93 bpb:1.14 t:599.9s\n", 599.9),
    ],
)
def test_the_training_timer_at_its_end(read, lines, seconds):
    run = read(HEAD + STEPS + lines + SCORE)
    assert (run.train_seconds.value if run.train_seconds else None) == seconds


# --- seeds and knobs


@pytest.mark.parametrize(
    "line",
    [
        "lr:embed=0.035 matrix=0.025 batch:786432 wall:600s seed:42",
        "Seed: 42, Max steps: 9999, Warmdown: 3000",
        "=== FULL RUN seed=42 ===",
        "====== SEED 42 ======",
        "# Partial log - seed 42, capped at 600 s",
        "overrides: SCRIPT=train_gpt.py SEED=42 ITERATIONS=8000",
        "params:73685840 L:10 ws:8 s:42",
        "L:11 d:512 ws:8 s:42",
    ],
)
def test_a_seed_in_any_words(read, line):
    run = read(line + "\n" + TRAIN + STOP + SCORE)
    assert run.seed and run.seed.value == 42


@pytest.mark.parametrize(
    "lines",
    ["basis_seed=42 is fixed", "seed 42 gave 1.08\nseed 7 gave 1.09", "train_seed42_v2.txt", "seeds 42, 7 and 1337"],
)
def test_no_seed_that_the_log_says_for_sure(read, lines):
    assert read(TRAIN + STOP + SCORE + lines + "\n").seed is None


def test_knobs_of_a_group_keep_its_name(read):
    run = read("lr:embed=0.035 matrix=0.025 batch:786432 seed:7\n" + TRAIN + SCORE)
    knobs = {name: knob.value for name, knob in run.hyperparameters.items()}
    assert knobs == {"lr.embed": "0.035", "lr.matrix": "0.025", "batch": "786432", "seed": "7"}


@pytest.mark.parametrize(
    "line",
    ["loader:coprime shards:80 batch_stride:63", "run_id=a start=2026-03-26T17:26:30Z", "compile:ready elapsed_ms:9"],
)
def test_loaders_and_times_are_no_knobs(read, line):
    run = read(HEAD + line + "\n" + TRAIN + SCORE)
    assert not run.hyperparameters.keys() & {"batch_stride", "shards", "start", "elapsed_ms"}
