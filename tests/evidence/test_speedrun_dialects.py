"""The dialects of speedrun logs, from 2024 on: what each period and each author's file says of a run."""

import pytest

from pgolf.errors import BadInput
from pgolf.evidence.variants import read_variants, result_of

RULE = "=" * 100 + "\n"
SOURCE = """import os
import sys
with open(sys.argv[0]) as f:
    code = f.read()  # read the code of this file, for logging
import torch
from torch import Tensor, nn

@dataclass
class Hyperparameters:
    num_iterations: int = 1390
    val_loss_every = 125
args = Hyperparameters()
world_size = int(os.environ["WORLD_SIZE"])
config = {
"steps": f"step:{1}/{2}",
}
def print0(s, console=False):
    with open(logfile, "a") as f:
        print(s, file=f)
print0(code)
print0("="*100)
print0(f"Running PyTorch {torch.version.__version__} compiled for CUDA {torch.version.cuda}")
print0(f"step:{step}/{train_steps} val_loss:{val_loss:.4f} train_time:{training_time_ms:.0f}ms step_avg:{0}ms")
for step in range(train_steps + 1):
    last_step = (step == train_steps)
    if last_step: print0(f"peak memory allocated: {1} MiB reserved: {2} MiB", console=True)
dist.destroy_process_group()

"""
NVIDIA_SMI = """\
+---------------------------------------------------------------------------------------+
| NVIDIA-SMI 535.129.03             Driver Version: 535.129.03   CUDA Version: 12.2     |
|-----------------------------------------+----------------------+----------------------+
| GPU  Name                 Persistence-M | Bus-Id        Disp.A | Volatile Uncorr. ECC |
|=========================================+======================+======================|
|   0  NVIDIA H100 80GB HBM3          On  | 00000000:61:00.0 Off |                    0 |
| N/A   33C    P0             111W / 700W |   5789MiB / 81559MiB |      5%      Default |
+-----------------------------------------+----------------------+----------------------+
|   1  NVIDIA H100 80GB HBM3          On  | 00000000:62:00.0 Off |                    0 |
+-----------------------------------------+----------------------+----------------------+
"""
HEAD = SOURCE + RULE + "Running PyTorch 2.10.0+cu128 compiled for CUDA 12.8\n" + NVIDIA_SMI + RULE
STEPS = """\
step:0/1390 val_loss:10.8258 train_time:0ms step_avg:nanms
step:1/1390 train_time:243813ms step_avg:nanms
step:10/1390 train_time:246800ms step_avg:nanms
step:11/1390 train_time:135ms step_avg:nanms
step:125/1390 val_loss:4.3686 train_time:15562ms step_avg:135.32ms
step:1389/1390 train_time:204113ms step_avg:148.02ms
step:1390/1390 train_time:204266ms step_avg:148.02ms
"""
LAST = "step:1390/1390 val_loss:3.2785 train_time:204345ms step_avg:148.08ms\n"


@pytest.fixture
def read(tmp_path):
    """The results of a folder with one file, in its order."""

    def read(text, name="0a1b2c3d-0000-4000-8000-0123456789ab.txt"):
        (tmp_path / name).write_bytes(text.encode() if isinstance(text, str) else text)
        found = read_variants(tmp_path)
        read.found, read.runs = found, [run for variant in found.variants for run in variant.runs]
        return [result_of(run) for run in read.runs]

    return read


def of(result):
    return (result.loss, result.decimals, result.step, result.planned, result.seconds)


EXPECTED = (3.2785, 4, 1390, 1390, 204.345)


def test_the_clock_restarts_after_the_first_steps(read):
    (result,) = read(HEAD + STEPS + LAST + "peak memory consumption: 31563 MiB\n")
    assert of(result) == EXPECTED
    (run,) = read.runs
    assert (run.hardware.value, run.device_count.value, run.torch_version.value) == (
        "NVIDIA H100 80GB HBM3",
        2,
        "2.10.0+cu128",
    )
    assert run.problems == []
    assert result.at.line == (HEAD + STEPS + LAST).count("\n")


@pytest.mark.parametrize(
    "name",
    [
        "main.log",
        "adam_seed0.txt",
        "101_0a1b2c3d-0000-4000-8000-0123456789ab.txt",
        "log.txt",
        " log .txt",
        "log.txt ",
        "record.TXT",
        "run.out",
    ],
)
def test_names_of_logs(read, name):
    assert [of(r) for r in read(STEPS + LAST, name)] == [EXPECTED]


@pytest.mark.parametrize(
    "text",
    [
        (HEAD + STEPS + LAST).replace("\n", "\r\n"),
        "\ufeff" + HEAD + STEPS + LAST,
        HEAD + STEPS + LAST.rstrip("\n"),
        HEAD + STEPS.replace("step:", "  step:") + "  " + LAST.replace(" ", "  "),
        HEAD + (STEPS + LAST).replace("step:", "[rank0]:step:"),
        "".join(line * 2 for line in (STEPS + LAST).splitlines(keepends=True)),
        HEAD + STEPS + LAST + RULE + SOURCE,
        HEAD + STEPS + LAST + RULE + SOURCE + RULE + "seed: 1337\n",
        SOURCE + RULE + SOURCE + "-" * 40 + "\n# triton_kernels.py\n" + "-" * 40 + "\n" + SOURCE + HEAD + STEPS + LAST,
        SOURCE + RULE + STEPS + RULE + LAST,
        HEAD + STEPS + LAST + "[rank0]:[W718 12:00:00] Warning: destroy_process_group() was not called\n",
    ],
    ids=[
        "crlf",
        "mark",
        "no newline",
        "spaces",
        "ranks",
        "twice",
        "source below",
        "sections",
        "sources",
        "rule",
        "warning",
    ],
)
def test_forms_of_one_log(read, text):
    assert [of(r) for r in read(text)] == [EXPECTED]


def test_words_of_a_log_in_the_source_are_no_run(read):
    docstring = '"""\nstep:1390/1390 val_loss:3.1111 train_time:1ms step_avg:0.00ms\n"""\n'
    assert [of(r) for r in read(docstring + HEAD + STEPS + LAST)] == [EXPECTED]
    assert [of(r) for r in read(docstring + SOURCE + RULE + STEPS + LAST)] == [EXPECTED]
    assert [of(r) for r in read(docstring.replace("1390", "5960") + HEAD + STEPS + LAST)] == [EXPECTED]


def test_seconds_and_five_digits(read):
    log = (
        "Running PyTorch 2.10.0+cu128 compiled for CUDA 12.8 on NVIDIA H100 80GB HBM3 with world_size 8\n"
        + RULE
        + "step:0/3250 val_loss:10.82584 train_time:0.000s step_avg:nanms\n"
        + "step:3250/3250 val_loss:3.27940 train_time:503.323s step_avg:155.52ms\n"
    )
    assert [of(r) for r in read(log)] == [(3.2794, 5, 3250, 3250, 503.323)]
    assert (read.runs[0].world_size.value, read.runs[0].hardware.value) == (8, "NVIDIA H100 80GB HBM3")


def test_device_on_a_line_of_its_own(read):
    read(SOURCE + RULE + "Running on device_name=NVIDIA H200 with world_size=4\n" + RULE + STEPS + LAST)
    assert (read.runs[0].world_size.value, read.runs[0].hardware.value) == (4, "NVIDIA H200")


def test_training_losses_of_2024(read):
    log = "step:0/6200 val_loss:10.9264 train_time:233ms step_avg:nanms\n"
    log += "step:1/6200 train_loss:10.9264 train_time:68283ms step_avg:nanms\n"
    log += "step:6200/6200 train_loss:3.2533 train_time:1339065ms step_avg:216.33ms\n"
    log += "step:6200/6200 val_loss:3.2785 train_time:1339067ms step_avg:216.33ms\n"
    assert [of(r) for r in read(log)] == [(3.2785, 4, 6200, 6200, 1339.067)]
    assert [p.loss for p in read.runs[0].train_curve] == [10.9264, 3.2533]


def test_the_short_words_of_llm_c(read):
    log = "s:0 tel:11.0084\ns:0 eval:0.2521\ns:0 trl:11.0090 lr:0.000001 norm:15.42\ns:128 trl:6.1\ns:128 tel:6.0\n"
    log += "s:9536 trl:3.2013 lr:0.000000 norm:0.28\ns:9536 tel:3.2781\ns:9536 eval:0.3051\n"
    assert [of(r) for r in read(log, "main.log")] == [(3.2781, 4, 9536, None, None)]
    assert [p.loss for p in read.runs[0].val_curve] == [11.0084, 6.0, 3.2781]


def test_the_console_of_llm_c(read):
    log = """\
+-----------------------+----------------------------------------------------+
| device                | NVIDIA A100-SXM4-80GB                              |
+-----------------------+----------------------------------------------------+
val loss 11.009001
step    1/19560 | loss 11.009533 (+nanz)| norm 15.4 (+nanz)| lr 8.57e-07 | 3056.36 ms | 42.6% bf16 MFU | 171537 tok/s
step  250/19560 | loss 6.100012 (-1.20z)| norm 0.9 (+0.1z)| lr 2.1e-04 | 180.38 ms | 58.1% bf16 MFU | 2906894 tok/s
val loss 6.011120
step 19560/19560 | loss 3.296179 (-0.52z)| norm 0.27 (-0.2z)| lr 0.00e+00 | 180.38 ms | 58.1% bf16 MFU | 29068 tok/s
val loss 3.279210
"""
    assert [of(r) for r in read(log, "main.log")] == [(3.27921, 6, 19560, 19560, None)]
    assert read.runs[0].hardware.value == "NVIDIA A100-SXM4-80GB"


@pytest.mark.parametrize(
    "last",
    [
        "step:1390/1390 train_loss:3.1 val_loss:3.2785 train_time:204345ms step_avg:148.08ms",
        "step:1390/1390 val_loss:3.2785 train_loss:3.1 train_time:204345ms",
        "step:1390/1390 | val_loss 3.2785 | train_time 204345 ms | train_time:204345ms",
        "step:1390/1390 validation loss: 3.2785 train_time:204.345s",
        "step 1390/1390: train loss 3.1000, val loss 3.2785, time: 204345ms",
    ],
)
def test_spellings_of_the_last_line(read, last):
    assert [of(r) for r in read(STEPS + last + "\n")] == [EXPECTED]


def test_a_run_may_stop_early_or_go_on(read):
    assert of(read(STEPS + "step:1375/1390 val_loss:3.2801 train_time:202000ms step_avg:1ms\n")[0])[2:4] == (1375, 1390)
    assert of(read(STEPS + LAST + "step:1400/1390 val_loss:3.2771 train_time:206000ms step_avg:1ms\n")[0]) == (
        3.2771,
        4,
        1400,
        1390,
        206.0,
    )


def test_no_number_at_the_end_is_no_result(read):
    nan = LAST.replace("3.2785", "nan")
    assert read(STEPS + LAST + nan) == [None]
    assert [p.kind for p in read.runs[0].problems] == ["not-finite"]


def test_a_run_without_training_has_no_result(read):
    assert read(STEPS.splitlines()[0] + "\n") == [None]


@pytest.mark.parametrize("cut", range(len("step:1390/1390 val_loss:"), len(LAST) - 1))
def test_a_log_cut_in_its_last_line(read, cut):
    """Whatever is left of a loss or of a clock is not taken for the number."""
    (result,) = read(STEPS + LAST[:cut])
    whole_loss = cut >= LAST.index(" train_time")
    whole_time = cut >= LAST.index(" step_avg")
    if not whole_loss:
        assert of(result) == (4.3686, 4, 125, 1390, 15.562)
    else:
        assert of(result) == (3.2785, 4, 1390, 1390, 204.345 if whole_time else None)


def test_a_log_cut_in_its_only_loss(read, tmp_path):
    (tmp_path / "whole.txt").write_text(STEPS + LAST)
    assert [of(r) for r in read(LAST[: LAST.index("785")], "cut.txt")] == [EXPECTED]
    assert read.found.variants[0].unread == {"cut.txt": "the log ends in the middle of its only loss"}


def test_a_try_that_was_started_again_is_no_run(read):
    tried = STEPS[: STEPS.index("step:1389")] + "step:250/1390 val_loss:3.9427 train_time:31000ms step_avg:1ms\n"
    assert [of(r) for r in read(HEAD + tried + HEAD + STEPS + LAST)] == [EXPECTED]
    assert [of(r) for r in read(HEAD + tried + STEPS + LAST)] == [EXPECTED]
    assert [of(r) for r in read(HEAD + STEPS + LAST + HEAD + tried)] == [EXPECTED]
    ((log, why),) = read.found.variants[0].unread.items()
    assert log.endswith(f".txt, line {(HEAD + STEPS + LAST + HEAD).count(chr(10)) + 1}")
    assert why == "a try that ended at step 250, in one log with a run to step 1,390"


def test_a_run_started_again_without_a_loss_before_training(read):
    lines = ["step:1/10 train_loss:10.9 train_time:1ms", "step:2/10 train_loss:9.9 train_time:2ms"]
    lines += ["step:10/10 train_loss:3.3 train_time:10ms", "step:10/10 val_loss:{}5 train_time:10ms"]
    log = "\n".join(lines) + "\n"
    assert [of(r)[0] for r in read(log.replace("{}", "3.28") + log.replace("{}", "3.27"))] == [3.285, 3.275]


@pytest.mark.parametrize("between", ["", HEAD], ids=["at once", "with a head"])
def test_two_whole_runs_in_one_log_are_two(read, between):
    other = (STEPS + LAST).replace("3.2785", "3.2791").replace("204345", "204101").replace("15562", "15570")
    assert [of(r)[0] for r in read(STEPS + LAST + between + other)] == [3.2785, 3.2791]
    names = [read.found.name_of(run).partition(", ")[2] for run in read.runs]
    assert names == ["line 1", f"line {(STEPS + LAST + between).count(chr(10)) + 1}"]


def test_a_whole_run_of_fewer_steps_in_one_log_counts(read):
    short = "step:0/900 val_loss:10.8 train_time:0ms\nstep:900/900 val_loss:3.41 train_time:90000ms\n"
    assert [of(r)[0] for r in read(STEPS + LAST + short)] == [3.2785, 3.41]
    assert [of(r)[0] for r in read(short.replace("900", "20") + STEPS + LAST)] == [3.2785]


def test_a_run_printed_twice_counts_once(read):
    assert [of(r) for r in read(STEPS + LAST + STEPS + LAST)] == [EXPECTED]
    assert len(read.found.variants[0].copies) == 1


@pytest.mark.parametrize(
    "text",
    [
        "run 1: 3.2785 204.345\nrun 2: 3.2791 204.101\n",
        LAST + LAST.replace("3.2785", "3.2791"),
        "| run | val_loss | train_time |\n|---|---|---|\n| 1 | 3.2785 | 204345ms |\n",
        "a.txt:" + LAST + "b.txt:" + LAST,
        "step by step, we made the step smaller.\nloss 3\n",
        "torch==2.10\nnumpy\n",
        SOURCE,
        "",
        "\x00\x01\x02" * 1000,
    ],
)
def test_other_text_is_no_log(read, text):
    with pytest.raises(BadInput, match="no log of a run"):
        read(text, "results.txt")


def test_a_copied_last_line_is_no_second_run(read, tmp_path):
    (tmp_path / "result.txt").write_text(LAST)
    assert [of(r) for r in read(STEPS + LAST)] == [EXPECTED]
    (copy,) = read.found.variants[0].copies
    assert copy.file == "result.txt"


def test_a_folder_around_each_log_is_no_variant(tmp_path):
    other = (STEPS + LAST).replace("3.2785", "3.2791").replace("15562", "15570")
    for name, text in {
        "baseline/run1": STEPS + LAST,
        "baseline/run2": other,
        "v1": other.replace("15570", "15571"),
    }.items():
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "log.txt").write_text(text)
    found = read_variants(tmp_path)
    assert [(v.name, len(v.runs), v.baseline) for v in found.variants] == [("baseline", 2, True), ("v1", 1, False)]
