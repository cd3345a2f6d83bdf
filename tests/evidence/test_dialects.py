"""The dialects of logs, one by one: each form in which trainers print a fact."""

import pytest
from log_lines import HEAD, SCORE, STOP, TRAIN


@pytest.mark.parametrize(
    ("line", "bpb", "kind"),
    [
        ("final_int8_zlib_roundtrip_exact val_loss:2.07269931 val_bpb:1.22436570", 1.22436570, "quantized"),
        ("final_sliding_window_exact val_loss:1.9 val_bpb:1.16", 1.16, "sliding"),
        ("final_sliding_window_eval_exact stride:64 val_loss:1.95 val_bpb:1.15", 1.15, "sliding"),
        ("final_sliding val_loss:2.98 val_bpb:1.1568 (stride=16, T=0.90) eval_time:428712ms", 1.1568, "sliding"),
        ("legal_ttt_exact val_loss:1.88 val_bpb:1.1194 eval_time:400000ms", 1.1194, "ttt"),
        ("final_int8_ttt_lora val_loss:2.0 val_bpb:1.19 eval_time:59874ms", 1.19, "ttt"),
        ("quantized_ttt_phased val_loss:2.76 val_bpb:1.07 eval_time:500104ms", 1.07, "ttt"),
        ("ttt_sliding:done val_loss=2.795502 val_bpb=1.082226 elapsed=297.7s", 1.082226, "ttt"),
        ("pre_ttt_sliding_window val_loss:2.8 val_bpb:1.09", 1.09, "sliding"),
        ("Final quantized: val_loss = 2.80, val_bpb = 1.09", 1.09, "quantized"),
        ("final_eval: val_bpb: 1.0793 (val_loss: 2.787)", 1.0793, "other"),
        ("quantized_ttt val_loss: 2.79 val_bits_per_byte: 1.0808", 1.0808, "ttt"),
    ],
)
def test_stage_names(read, line, bpb, kind):
    run = read(HEAD + TRAIN + STOP + line + "\n")
    assert (run.final.val_bpb, run.final.kind) == (bpb, kind)


@pytest.mark.parametrize(
    "line",
    [
        "diagnostic quantized val_loss:2.79 val_bpb:1.0833 eval_time:55851ms",
        "DIAGNOSTIC post_ema val_loss:1.92 val_bpb:1.1385 eval_time:1960ms",
        "pre-quantization post-ema val_loss:2.8 val_bpb:1.0873 eval_time:7440ms",
        "baseline val_bpb: 1.2244",
        "best_val_bpb: 1.05",
        "SOTA to beat: val_bpb: 1.0810",
        "delta val_bpb: 0.002",
        "  ttt_chunk [1238/1238] val_bpb=1.082504 time=343.2s",
        "ttp: b754/782 bl:2.6343 bb:1.2779 rl:2.3393 rb:1.0636 dl:138-139 gd:1",
        "  sliding_eval [ 50.2%] 60832/121136 windows running_bpb=1.149131",
        '  "post_ttt_val_bpb": 1.06400238,',
        "900/20000 val_loss: 2.8119 val_bpb: 1.0886",
        "val_bpb:enabled tokenizer_kind=sentencepiece",
    ],
)
def test_what_is_not_a_final_score(read, line):
    assert read(HEAD + TRAIN + STOP + line + "\n").final is None
    assert read(HEAD + TRAIN + STOP + SCORE + line + "\n").final.val_bpb == 1.08079352


def test_exact_beats_rounded_in_either_order(read):
    rounded = "final_roundtrip val_loss:2.0741 val_bpb:1.2284 eval_time:5599ms\n"
    exact = "final_roundtrip_exact val_loss:2.07405347 val_bpb:1.22837129\n"
    for both in (rounded + exact, exact + rounded):
        run = read(HEAD + TRAIN + STOP + both)
        assert [(s.name, s.val_bpb, s.eval_seconds) for s in run.stages] == [
            ("final_roundtrip_exact", 1.22837129, 5.599)
        ]


def test_equal_scores_of_two_timed_passes_stay_two(read):
    score = "val_loss:2.79 val_bpb:1.08"
    two = f"quantized_sliding_window {score} eval_time:90s\nquantized_ttt {score} eval_time:300s\n"
    assert read(HEAD + TRAIN + STOP + two).eval_seconds == 390


@pytest.mark.parametrize(
    "prefix",
    [
        "[default0]:",
        "[rank0]: ",
        "rank0: ",
        "1776142360.538 ",
        "2026-04-09 04:38:18,092 - INFO - ",
        "2026-04-09 04:38:18,092 - pgolf.train - INFO - ",
        "2026-04-09T04:38:18.092Z ",
        "[2026-04-09 04:38:18] ",
        "[modal] ",
        "\x1b[32m\x1b[1m",
    ],
)
def test_launcher_prefixes(read, prefix):
    noise = "node-1:123:456 [0] NCCL INFO Channel 00/0 : 0[0] -> 1[1] via P2P\n"
    lines = (HEAD + TRAIN + STOP + SCORE).splitlines(keepends=True)
    run = read("".join(prefix + line + noise for line in lines))
    assert (run.seed.value, run.final.val_bpb, run.train_seconds.value) == (42, 1.08079352, 588.047)
    assert {k: v.value for k, v in run.hyperparameters.items()} == {"seed": "42", "ttt_epochs": "3"}
    assert run.seed.at.line == 3


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_windows_logs(read, encoding):
    run = read((HEAD + TRAIN + STOP + SCORE).replace("\n", "\r\n").encode(encoding))
    assert (run.seed.value, run.final.val_bpb, run.final.at.line) == (42, 1.08079352, 9)


def test_progress_bars_that_redraw_their_line(read):
    run = read(HEAD + TRAIN + STOP + "eval:  10%|#\reval: 100%|####\r" + SCORE)
    assert run.final.val_bpb == 1.08079352


@pytest.mark.parametrize(
    "knobs",
    [
        "Hyperparameters:\n  seed: 7\n  lr: 0.02\n  loops: [3, 4]\n",
        "seed:7\nlr:0.02 loops:[3,4] name:x\n",
        "--- Hyperparameters ---\nlr=0.02 loops=[3,4] run_id=a seed=7\n",
        'Hyperparameters: {"seed": 7, "lr": 0.02, "loops": [3, 4]}\n',
        '{"seed": 7, "lr": 0.02, "loops": [3, 4]}\n',
        "config: {'seed': 7, 'lr': 0.02, 'loops': [3, 4]}\n",
        'Hyperparameters:\n{\n  "seed": 7,\n  "lr": 0.02,\n  "loops": [3, 4]\n}\n',
        "Namespace(seed=7, lr=0.02, loops=[3, 4], name='x')\n",
        "Hyperparameters:\nseed: 7\nlr: 0.02\nloops: [3, 4]\n",
        '{"event": "config", "config": {"seed": 7, "lr": 0.02, "loops": [3, 4]}}\n',
    ],
)
def test_knobs_in_every_form(read, knobs):
    run = read(knobs + "train_shards: 80\n" + TRAIN + SCORE)
    assert run.seed.value == 7
    assert run.hyperparameters["lr"].value == "0.02"
    assert run.hyperparameters["loops"].value.replace(" ", "") == "[3,4]"
    assert "train_shards" not in run.hyperparameters


@pytest.mark.parametrize(
    ("lines", "seconds"),
    [
        ("stopping_early: wallclock_cap train_time:600061ms step:13764/20000\n", 600.061),
        ("stopping_early: wallclock_cap train_time: 600.061s step: 13764/20000\n", 600.061),
        ("training_done: iterations train_time: 9.5m step: 900/900\n", 570.0),
        ("Total training time: 599.5s\n", 599.5),
        ("train_time_ms: 599500\n", 599.5),
        ("step:901/901 train_loss:2.1 train_time:540000ms step_avg:60.00ms\n", 540.0),
        ("training_time: 599.5\n", None),  # of what?
        ("step:901/20000 train_loss:2.1 train_time:540000ms step_avg:60.00ms\n", None),  # was not the last
    ],
)
def test_training_time(read, lines, seconds):
    run = read(HEAD + "1/900 train_loss: 9.01 tok/s: 8\n2/900 train_loss: 8.0 tok/s: 8\n" + lines + SCORE)
    assert (run.train_seconds.value if run.train_seconds else None) == seconds


@pytest.mark.parametrize(
    ("lines", "sizes"),
    [
        (
            "Serialized model: 135431033 bytes\nCode size: 16630 bytes\n"
            "Serialized model quantized+brotli: 15975300 bytes\n"
            "Total submission size quantized+brotli: 15991930 bytes\n",
            (15975300, 16630, 15991930),
        ),
        (
            "Total submission size: 67283363 bytes\nSerialized model int8+zlib: 15814468 bytes (payload:17178912)\n"
            "Total submission size int8+zlib: 15872848 bytes\n",
            (15814468, None, 15872848),
        ),
        ("Submission size int6+zstd: 15,872,848 bytes\n", (None, None, 15872848)),
        ("serialized_model_int8_zlib:53774 bytes (payload:56285 raw_pickle:56285)\n", (53774, None, None)),  # MLX
        ("artifact_bytes:   15555017\n", (None, None, 15555017)),
        (
            "artifact:15.92MB ternary:64880640(14245920B) code:70853\nbudget:15995705/16000000 (16.00/16.00MB) FITS\n",
            (None, 70853, 15995705),
        ),
        ("Total submission size: 15.99 MB\n", (None, None, None)),  # too coarse to be a size
        ("Code size (uncompressed): 139831 bytes\nCode size (compressed): 28599 bytes\n", (None, 28599, None)),
    ],
)
def test_sizes(read, lines, sizes):
    run = read(HEAD + TRAIN + STOP + lines + SCORE)
    assert tuple(x and x.value for x in (run.model_bytes, run.code_bytes, run.artifact_bytes)) == sizes


@pytest.mark.parametrize(
    ("line", "seconds"),
    [
        ("GPTQ:collected 67 Hessians in 12.7s", 12.7),
        ("gptq:calibrated 66 layers in 6700ms", 6.7),
        ("gptq:calibration done in 0.2m", 12.0),
        ("gptq:generated 64 sequences in 186.0s", None),  # reads no training data
    ],
)
def test_calibration_time(read, line, seconds):
    run = read(HEAD + TRAIN + STOP + line + "\n" + SCORE)
    assert (run.calibration_seconds.value if run.calibration_seconds else None) == seconds


def test_a_calibration_without_its_time_is_known_to_have_been(read):
    run = read(HEAD + TRAIN + STOP + "GPTQ:collecting Hessians from calibration data...\n" + SCORE)
    assert run.calibration.line == 9 and run.calibration_seconds is None


def test_a_text_that_the_model_itself_has_written_is_no_training_data(read):
    lines = "gptq:generated 64 sequences in 159.2s\ngptq:collecting hessians from autoregressive data...\n"
    run = read(HEAD + TRAIN + STOP + lines + "gptq:collected hessians for 69 layers in 9.1s\n" + SCORE)
    assert run.calibration is None and run.calibration_seconds is None


def test_unknown_is_none(read):
    run = read("1/900 train_loss: 9.01 train_time: 0.0m tok/s: 8\n" + SCORE)
    assert run.final.val_bpb == 1.08079352
    for name in (
        "seed",
        "artifact_bytes",
        "code_bytes",
        "train_seconds",
        "calibration_seconds",
        "world_size",
        "hardware",
    ):
        assert getattr(run, name) is None


def test_source_code_at_the_head_is_not_the_run(read):
    source = (
        '"""Train. Best so far: final val_loss:1.0 val_bpb:0.5\n\nHyperparameters:\n  seed: 1\n"""\nimport os\n'
        "class Hyperparameters:\n    seed: 13\n    500/20000 train_loss: 1.0 train_time: 1.0m\n"
        "    # quantized_ttt val_loss:1.0 val_bpb:0.5 eval_time:1ms\n"
        "Code size: 5 bytes\n" + "=" * 100 + "\n"
    )
    run = read(source + HEAD + TRAIN + STOP + SCORE)
    assert (run.seed.value, run.final.val_bpb, run.code_bytes) == (42, 1.08079352, None)
    assert "ttt_epochs" in run.hyperparameters


@pytest.mark.parametrize("line", ["Seed: 42 | world size: 8 | torch 2.9.1", "[08:07:04] seed=42, device=cpu"])
def test_a_seed_before_other_words_of_its_line(read, line):
    run = read(line + "\n" + HEAD.replace("seed", "sown") + SCORE)
    assert run.seed and run.seed.value == 42
