"""Every public log against figures read off by eye."""

from pathlib import Path

import pytest

from pgolf.evidence.logs import read_run

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
