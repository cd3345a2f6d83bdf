"""Every public log against figures read off by eye, the dialects one by one, and logs that mean harm."""

import json
import resource
from pathlib import Path

import pytest

from pgolf.errors import BadInput
from pgolf.evidence.logs import read_run, read_runs

PUBLIC = Path(__file__).resolve().parents[3] / "shared" / "public-records"

# folder / log / seed / final val_bpb / artifact bytes / training ms, as printed; '-' where the log does not say
BY_EYE = """
2026-03-17_LoRA_TTT
    train_v0.txt 1337 1.1935 15872848 600061
    train_v1.txt 1337 1.1927 15863031 2400107
    train_v2.txt 1337 1.1921 15866451 600047
    train_v3.txt 1337 1.1929 15884843 600051
2026-03-18_FP16Embed_WD3600
    train.log 1337 1.21972502 15896222 600008
    train_seed42.log 42 1.22006458 15897173 599992
2026-03-18_LowerLR
    train.log 1337 1.22296644 15854246 599847
2026-03-19_MLP3x_QAT_Int6_SlidingWindow
    train.log 1337 1.16660881 15693599 600040
2026-03-19_Seq2048_FP16Emb_TunedLR
    train_seed1337.log 1337 1.16101576 15558319 600042
    train_seed3.log 3 1.15861696 15519859 600036
    train_seed42.log 42 1.15978656 15398999 600076
2026-03-19_SlidingWindow_FP16Emb_10L_MuonWD_OvertoneInit
    train_seed1337.log 1337 1.17558517 15374243 599952
    train_seed42.log 42 1.17423973 15350371 600069
    train_seed7.log 7 1.17443456 15397085 600073
2026-03-19_WarmdownQuantization
    train.log 1337 1.15744040 15977717 600031
2026-03-19_smeargate_orthoinit_muonwd
    train.log 1337 1.15555486 15878809 599974
2026-03-20_11L_EfficientPartialXSA_FA3_SWA120
    train.log 1337 1.13071416 15892986 600040
2026-03-20_Int6_MLP3x_SmearGate_BigramHash_MuonWD_SWA
    train_seed1337.log 1337 1.14597222 15862650 600075
    train_seed42.log 42 1.14656085 15917304 600099
    train_seed7.log 7 1.14491770 15944907 600101
2026-03-22_11L_EMA_GPTQ-lite_warmdown3500_QAT015_1.1233
    train.log 1337 1.12278022 15555017 600036
    train_seed1337.log 1337 1.12278022 15555017 600036
    train_seed2024.log 2024 1.12356596 15586805 600070
    train_seed42.log 42 1.12360306 15540675 600059
2026-03-24_74M_Ternary_UNet_FP8_10L_8192BPE_YaRN_NeoMuon
    ternary_log_1337.txt 1337 1.1568 15995705 599128
    ternary_log_42.txt 42 1.1565 15993853 599652
    ternary_log_7.txt 7 1.1578 15992753 599602
2026-03-29_Loader_FullGPTQ_XSA11_BigramHash2816
    train_seed1337.log 1337 1.11183590 15973962 586090
    train_seed2025.log 2025 1.11212378 15983626 586065
    train_seed42.log 42 1.11271417 15980438 586200
2026-04-01_Vocab4096_MLPMult4_WD085
    train_seed1337.log 1337 1.09794973 15905460 590009
    train_seed2025.log 2025 1.09816278 15927782 590022
    train_seed42.log 42 1.09743840 15915268 590022
2026-04-05_SP8192_GPTQ-Embeddings_SDClip_Loop45x2
    train_seed1.log 1 1.08553523 15987547 588138
    train_seed1234.log 1234 1.08462640 15983318 588024
    train_seed1337.log 1337 1.08554182 15984924 588041
    train_seed2025.log 2025 1.08577632 15983617 588097
    train_seed42.log 42 1.08664424 15988983 588136
2026-04-06_SP8192_HessianSDClip_ProgressiveRecurrence
    train.log 1337 1.08300961 16054963 588103
    train_seed1337.log 1337 1.08300961 16054963 588103
    train_seed3141.log 3141 1.08398828 16059704 588016
    train_seed42.log 42 1.08362987 16058494 588098
2026-04-08_SP8192_ParallelResid_ScoreFirstTTT
    train_seed314.log 314 1.08222600 15990916 588023
    train_seed42.log 42 1.08261339 15991486 588042
    train_seed999.log 999 1.08169930 15989602 588079
2026-04-09_A2_Muon097_3Seed
    train_seed0.log 0 1.07928348 15993346 588052
    train_seed1234.log 1234 1.08024795 15994604 588131
    train_seed42.log 42 1.07996676 15992995 588045
2026-04-09_SP8192_3LayerRecur_ParResid_QK525_LegalTTT
    train_seed314.log 314 1.08103103 15992919 588119
    train_seed42.log 42 1.08079352 15991930 588047
    train_seed999.log 999 1.08118408 15993232 588014
2026-04-13_VarLenAttn_PhasingTTT2000
    logs/train0.txt 0 1.07216564 15996697 587091
    logs/train1.txt 1 1.07300174 15995985 587073
    logs/train2.txt 2 1.07325147 15988805 587175
2026-04-18_PR1626_CaseOps_Taper
    train_seed0.log 1337 1.06805820 15932307 596107
    train_seed1234.log 1234 1.06727867 15943106 596099
    train_seed42.log 42 1.06806595 15935802 596114
2026-04-19_SP8192_CaseOps_GatedAttn_QuantGate_Loop45_PhasedTTT
    train_seed0.log 0 1.06473025 15971476 596169
    train_seed1234.log 1234 1.06562743 15975050 596083
    train_seed42.log 42 1.06610085 15978834 596176
2026-04-23_SP8192_CaseOps_SparseGate_QuantGate_Loop45_PhasedTTT_PolarNS_MinLR_FusedCE
    train_seed0.log 0 1.06353012 15939508 599556
    train_seed1234.log 1234 1.06336388 15939918 599568
    train_seed42.log 42 1.06443847 15940380 599462
    ttt_pr1767/seed_0.log 0 1.06307957 - -
    ttt_pr1767/seed_1234.log 1234 1.06296654 - -
    ttt_pr1767/seed_42.log 42 1.06400238 - -
2026-04-27_SmearGateBOSFix_PR1787Base_LQERAsym_PhasedTTT
    train_seed42.log 42 1.06128183 15952086 599623
"""


def by_eye():
    folder = ""
    for line in BY_EYE.strip().splitlines():
        if not line.startswith(" "):
            folder = line
            continue
        log, *expected = line.split()
        yield pytest.param(f"{folder}/{log}", expected, id=f"{folder[:14]}-{log}")


@pytest.mark.parametrize(("log", "expected"), list(by_eye()))
def test_public_log(log, expected):
    if not PUBLIC.is_dir():
        pytest.skip("the public records are not here")
    run = read_run(PUBLIC / log)
    seconds, final = run.train_seconds, run.final
    read = [
        str(run.seed.value),
        f"{final.val_bpb:.{final.decimals}f}",
        str(run.artifact_bytes.value) if run.artifact_bytes else "-",
        str(round(1000 * seconds.value)) if seconds else "-",
    ]
    assert read == expected
    assert run.ended and not run.problems
    lines = (PUBLIC / log).read_text().splitlines()
    assert expected[1] in lines[final.at.line - 1]  # evidence points at the line that says so
    assert expected[0] in lines[run.seed.at.line - 1]


def test_public_stages_times_and_sizes():
    if not PUBLIC.is_dir():
        pytest.skip("the public records are not here")
    run = read_run(PUBLIC / "2026-04-09_SP8192_3LayerRecur_ParResid_QK525_LegalTTT/train_seed42.log")
    assert [(s.name, s.kind, s.val_bpb, s.eval_seconds) for s in run.stages] == [
        ("pre-quantization post-ema", "pre-quant", 1.08734790, 7.440),
        ("quantized", "quantized", 1.09970431, 25.515),
        ("quantized_sliding_window", "sliding", 1.08286335, 120.961),
        ("quantized_ttt", "ttt", 1.08079352, 366.525),
    ]
    assert run.final.val_loss == 2.79180191 and round(run.bytes_per_token, 6) == 3.726631
    assert round(run.eval_seconds, 3) == 513.001
    assert (run.model_bytes.value, run.code_bytes.value, run.steps.value) == (15975300, 16630, 4550)
    assert run.calibration_seconds.value == 12.7 and run.val_tokens.value == 40540160
    assert run.hyperparameters["ttt_hash_embed"].value == "True" and len(run.hyperparameters) == 88
    assert [(p.step, p.loss) for p in run.train_curve[:3]] == [(1, 9.0111), (2, 12.3695), (3, 11.1355)]
    assert run.val_curve[0].loss == 9.0090


def test_one_evaluation_under_three_names_is_one_stage():
    if not PUBLIC.is_dir():
        pytest.skip("the public records are not here")
    run = read_run(PUBLIC / "2026-03-22_11L_EMA_GPTQ-lite_warmdown3500_QAT015_1.1233/train_seed42.log")
    assert [s.name for s in run.stages] == [
        "DIAGNOSTIC post_ema",
        "final_int6_roundtrip_exact",
        "final_int6_sliding_window_exact",
    ]
    assert run.final.eval_seconds == 73.133  # from its rounded twin


# --- dialects

HEAD = "Hyperparameters:\n  seed: 42\n  ttt_epochs: 3\ntrain_shards: 80\nval_tokens: 40540160\n"
TRAIN = "1/900 train_loss: 9.01 train_time: 0.0m tok/s: 8\n900/900 train_loss: 2.8 train_time: 9.8m tok/s: 8\n"
STOP = "stopping_early: wallclock_cap train_time: 588047ms step: 900/20000\n"
SCORE = "quantized_ttt val_loss:2.79180191 val_bpb:1.08079352 eval_time:366525ms\n"


@pytest.fixture
def read(tmp_path):
    def read(text: str | bytes, name: str = "train.log"):
        path = tmp_path / name
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return read_run(path)

    return read


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


# --- several runs in one file

PREFLIGHT = (
    "Hyperparameters:\n  seed: 1\ntrain_shards: 80\n1/20 train_loss: 9.1 train_time: 0.0m\n"
    "20/20 train_loss: 8.9 train_time: 0.0m\nTotal submission size quantized+brotli: 9000 bytes\n"
    "quantized_ttt val_loss:8.0 val_bpb:3.1 eval_time:100ms\n"
)


def test_preflight_first_real_run_last(tmp_path, read):
    run = read(PREFLIGHT + HEAD + TRAIN + STOP + SCORE)
    assert (run.seed.value, run.final.val_bpb, run.artifact_bytes) == (42, 1.08079352, None)
    first, second = read_runs(tmp_path / "train.log")
    assert (first.seed.value, first.final.val_bpb, first.steps.value) == (1, 3.1, 20)
    assert (second.seed.value, second.steps.value) == (42, 900)


def test_a_truncated_real_run_is_not_replaced_by_its_preflight(read):
    run = read(PREFLIGHT + HEAD + TRAIN + STOP)
    assert run.seed.value == 42 and run.final is None and not run.ended


def test_a_smoke_run_after_the_real_one_does_not_replace_it(read):
    assert read(HEAD + TRAIN + STOP + SCORE + PREFLIGHT).final.val_bpb == 1.08079352


def test_a_crash_before_the_real_run_is_not_its_problem(read):
    crash = HEAD + TRAIN + "Traceback (most recent call last):\n"
    assert not read(crash + HEAD + TRAIN + STOP + SCORE).problems


def test_steps_of_adaptation_are_not_a_new_run(read):
    ttt = "step:1/30 train_loss:2.9\nstep:2/30 train_loss:2.8\nlegal_ttt val_loss:2.7 val_bpb:1.05 eval_time:9s\n"
    run = read(HEAD + TRAIN + STOP + SCORE + ttt)
    assert (run.seed.value, run.final.val_bpb, run.train_seconds.value) == (42, 1.05, 588.047)


def test_a_second_process_that_only_evaluates_gives_the_score(read):
    again = "Hyperparameters:\n  seed: 42\n  ttt_epochs: 4\ntrain_shards: 0\n"
    run = read(HEAD + TRAIN + STOP + SCORE + again + "quantized_ttt val_loss:2.7 val_bpb:1.05 eval_time:9s\n")
    assert run.train_seconds.value == 588.047
    assert [s.val_bpb for s in run.stages] == [1.05] and run.eval_seconds == 9
    assert run.hyperparameters["ttt_epochs"].value == "4" and run.scored_in


# --- what goes wrong


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (HEAD + "1/9 train_loss: 9.0\n2/9 train_loss: nan\n" + SCORE, "not-finite"),
        (HEAD + TRAIN + STOP + "quantized_ttt val_loss:nan val_bpb:nan eval_time:1ms\n", "not-finite"),
        (HEAD + TRAIN + STOP + "quantized_ttt val_loss:0.0 val_bpb:0.0 eval_time:1ms\n", "not-finite"),
        (HEAD + TRAIN + "[rank3]: Traceback (most recent call last):\n", "error"),
        (HEAD + TRAIN + "torch.OutOfMemoryError: CUDA out of memory\n", "error"),
        (HEAD + TRAIN + STOP + SCORE + "ttt:start chunks=1238 ttt_lr=0.005 ttt_epochs=3\n", "unfinished"),
        (HEAD + TRAIN + STOP + "  sliding_eval [ 50.2%] 60832/121136 windows running_bpb=1.1\n", "unfinished"),
    ],
)
def test_problems(read, text, kind):
    run = read(text)
    assert [p.kind for p in run.problems] == [kind]
    assert (run.final is None) == (SCORE not in text)


# --- events.jsonl


def events(seed=42, bpb=1.080793524, steps=900, **more):
    facts = [
        {"event": "start", "config": {"seed": seed, "ttt_epochs": 3}, "world_size": 1, "torch": "2.9", "device": "cpu"},
        {"event": "data", "train_shards": 2, "val_tokens": 1000, "val_bytes": 3727, "val_sha256": "ab" * 32},
        {"event": "model", "parameters": 10, "weights_fingerprint": "12345678"},
        {"event": "train", "step": 1, "iterations": 900, "train_loss": 9.0123456, "train_ms": 20},
        {"event": "stop", "reason": "wallclock_cap", "step": steps, "iterations": 20000, "train_ms": 588047},
        {"event": "calibration", "hessians": 67, "seconds": 12.712},
        {"event": "artifact", "model_bytes": 100, "code_bytes": 10, "total_bytes": 110, "sha256": "cd" * 32},
        {"event": "stage", "stage": "quantized_ttt", "val_loss": 2.791801911, "val_bpb": bpb, "eval_ms": 366525},
        {"event": "end"},
    ]
    return "".join(json.dumps({"t": 1.0} | f) + "\n" for f in facts)


def test_events_beside_the_log_are_preferred(tmp_path, read):
    (tmp_path / "events.jsonl").write_text(events() + '{"t": 3, "event": "sta')
    run = read(HEAD + TRAIN + STOP + SCORE)
    assert run.final.val_bpb == 1.080793524 and run.final.at.file == "events.jsonl"
    assert (run.calibration_seconds.value, run.val_bytes.value) == (12.712, 3727)
    assert (run.weights_fingerprint.value, run.artifact_sha256.value) == ("12345678", "cd" * 32)
    assert not run.problems and run.ended


@pytest.mark.parametrize("other", [{"seed": 43}, {"bpb": 1.0807}, {"steps": 901}])
def test_events_of_another_run_are_a_problem_and_not_believed(tmp_path, read, other):
    (tmp_path / "events.jsonl").write_text(events(**other))
    run = read(HEAD + TRAIN + STOP + SCORE)
    assert run.final.val_bpb == 1.08079352 and [p.kind for p in run.problems] == ["events"]


def test_one_events_file_among_several_logs_belongs_to_its_own(tmp_path, read):
    (tmp_path / "events.jsonl").write_text(events())
    (tmp_path / "train_seed7.log").write_text(HEAD)
    other = read(HEAD.replace("42", "43") + TRAIN + STOP + SCORE, "train_seed43.log")
    assert not other.problems and other.val_sha256 is None
    (tmp_path / "events_seed44.jsonl").write_text(events(seed=45))
    assert read(HEAD.replace("42", "44") + TRAIN + STOP + SCORE, "train_seed44.log").problems


def test_events_alone(tmp_path):
    (tmp_path / "events.jsonl").write_text(events())
    assert read_run(tmp_path / "events.jsonl").seed.value == 42


def test_a_resumed_run_is_seen_to_start_where_the_kill_has_torn_an_event(tmp_path):
    error = {"t": 9.1, "event": "error", "message": "ended by signal 15"}
    again = {"t": 0.1, "event": "start", "config": {"seed": 43}, "world_size": 1}
    torn = '{"t": 9.2, "event": "prog'
    (tmp_path / "events.jsonl").write_text(f"{events()}{json.dumps(error)}\n{torn}{json.dumps(again)}\n")
    run = read_run(tmp_path / "events.jsonl")
    assert run.seed.value == 43 and not [p for p in run.problems if p.kind == "error"]


# --- logs that mean harm


def test_a_line_of_any_length_costs_no_memory(tmp_path):
    path = tmp_path / "train.log"
    with path.open("w") as f:
        f.write(HEAD + TRAIN + STOP)
        for _ in range(300):
            f.write("x" * (1 << 20))  # one line of 300 MB
        f.write("\n" + SCORE)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    run = read_run(path)
    assert run.final.at.line == 10
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50 * 1024  # KiB


def test_a_log_with_very_many_steps_is_thinned_out_not_cut(read):
    steps = "".join(f"step:{i}/200000 train_loss:{9 - i / 1e5:.4f} train_time:{i}ms\n" for i in range(50_000))
    run = read(HEAD + steps + SCORE)
    assert len(run.train_curve) <= 4200
    assert [p.step for p in run.train_curve[:60]] == list(range(60)) and run.train_curve[-1].step == 49_999
    assert run.steps.value == 49_999


@pytest.mark.parametrize(
    "poison",
    [
        "\x00\x01\x02\x1b]0;title\x07 val_bpb",
        "a:b=c:" * 10_000,
        "collected in " * 5_000,
        "val_loader:tokens " * 3_000,
        "Namespace(" + "a=" * 20_000 + ")",
        "Hyperparameters: " + "[" * 60_000,
        '{"a":' * 10_000 + "}" * 10_000,
        "step:" + "9" * 5_000 + "/9 train_loss:1",
        "seed: " + "9" * 5_000,
        "Total submission size x: " + "9" * 5_000 + " bytes",
        "final val_bpb:" + "9" * 400,
        "final val_bpb:1e999",
    ],
)
def test_poisoned_lines_change_nothing(read, poison):
    run = read(HEAD + poison + "\n" + TRAIN + STOP + poison + "\n" + SCORE + poison + "\n")
    assert (run.seed.value, run.final.val_bpb, run.artifact_bytes) == (42, 1.08079352, None)


def test_words_of_a_log_come_without_control_characters(read):
    run = read("Hyperparameters:\n  seed: 1\n  name: a\x00b\u202eevil\t" + "y" * 500 + "\n" + TRAIN + SCORE)
    assert run.hyperparameters["name"].value.startswith("a�b�evil y")
    assert len(run.hyperparameters["name"].value) == 200


def test_no_log(tmp_path):
    with pytest.raises(BadInput, match="missing"):
        read_run(tmp_path / "missing.log")
    (tmp_path / "notes.log").write_text("nothing of a run\n")
    assert read_runs(tmp_path / "notes.log") == []
