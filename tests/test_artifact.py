"""Scoring an artifact again: the numbers of the run that made it, and what is refused."""

import hashlib
import json
import os
import shutil
from dataclasses import replace

import brotli
import pytest
import torch
from measured import run_measured

from pgolf.artifact import TimeLimit, eval_knobs, evaluate_artifact, in_folder, load_tokens, open_artifact
from pgolf.cli import main
from pgolf.errors import BadInput, RunFailed
from pgolf.knobs import KNOBS
from pgolf.trainer.codec import HEAD, MAGIC, decode, encode, facts_of
from pgolf.trainer.config import KNOB_TYPES, MODEL_KNOBS
from pgolf.untrusted import Untrusted


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture
def opened(tiny_artifact, tiny_data):
    return in_folder(open_artifact(tiny_artifact.path, tiny_artifact.knobs), tiny_data.data_dir)


def run(monkeypatch, capsys, *words: object) -> tuple[int, str, str]:
    monkeypatch.setattr("sys.argv", ["pgolf", *map(str, words)])
    code = 0
    try:
        main()
    except SystemExit as end:
        code = int(end.code or 0)
    out, err = capsys.readouterr()
    return code, out, " ".join(err.split())


def test_the_score_is_of_the_whole_split_and_says_of_what(opened, tiny_data):
    result = evaluate_artifact(opened, "fixed")
    tokens = load_tokens(opened.cfg)
    assert result.positions == len(tokens) - 1 == (tiny_data.val_tokens - 1) // 32 * 32
    assert result.val_bpb == pytest.approx(
        result.val_loss * result.positions / result.bytes / torch.log(torch.tensor(2.0, dtype=torch.float64)).item()
    )
    assert result.knobs["eval_stride"] == 8 and result.dtype == "float32"
    assert len(result.scored_sha256) == len(result.tokenizer_sha256) == len(result.artifact_sha256) == 64


@pytest.mark.parametrize("mode", ["fixed", "sliding"])
def test_more_tokens_than_there_are_is_all_of_them(opened, tiny_data, mode):
    whole = evaluate_artifact(opened, mode)
    for limit in (whole.positions, tiny_data.val_tokens - 1, 999_999_999):
        again = evaluate_artifact(opened, mode, limit=limit)
        assert (again.positions, again.val_loss, again.scored_sha256) == (
            whole.positions,
            whole.val_loss,
            whole.scored_sha256,
        )
    assert evaluate_artifact(opened, mode, limit=100).positions == 100


def test_adaptation_leaves_the_artifact_as_it_was(opened):
    small = replace(opened, cfg=replace(opened.cfg, ttt_chunk_tokens=128))
    small.model.cfg = small.cfg
    first, again = (evaluate_artifact(small, "ttt", limit=600) for _ in range(2))
    assert first.val_loss == again.val_loss
    assert first.val_loss != evaluate_artifact(small, "sliding", limit=600).val_loss


def test_the_window_is_the_one_it_was_trained_at_unless_said(tiny_artifact):
    assert open_artifact(tiny_artifact.path).cfg.eval_seq_len == 32
    assert open_artifact(tiny_artifact.path, {"eval_seq_len": 64}).cfg.eval_seq_len == 64
    assert open_artifact(tiny_artifact.path, {"num_layers": 5}).cfg.num_layers == 3


def test_the_model_cannot_be_set():
    with pytest.raises(BadInput, match="num_layers: this knob is the artifact's own"):
        eval_knobs(None, {"num_layers": "5"})
    with pytest.raises(BadInput, match="did you mean ttt_epochs"):
        eval_knobs(None, {"ttt_epoch": "5"})
    with pytest.raises(BadInput, match="ttt_epochs"):
        eval_knobs("smoke", {"ttt_epochs": "many"})


def test_a_budget_stops_early_and_says_by_how_much(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr("pgolf.artifact.time.monotonic", lambda: clock[0])
    seen = []
    budget = TimeLimit(100.0, lambda done, total: seen.append(done))
    clock[0] = 60.0  # the first piece compiles and is no measure
    budget(10, 1000)
    clock[0] = 60.3
    budget(20, 1000)
    clock[0] = 64.0
    with pytest.raises(
        RunFailed, match=r"at 30 of 1000 positions: all would take about 258 s, 158 s over the budget of"
    ):
        budget(30, 1000)
    assert seen == [10, 20, 30]
    patient = TimeLimit(None, lambda done, total: None)
    clock[0] = 1e9
    patient(1, 10)
    patient(2, 10)


def test_a_budget_that_is_nearly_kept_is_not_stopped_early(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr("pgolf.artifact.time.monotonic", lambda: clock[0])
    budget = TimeLimit(100.0, lambda done, total: None)
    for done in range(1, 95):  # 1.05 s a piece: 105 s in all
        clock[0] += 1.05
        if clock[0] < 80:
            budget(done, 100)
        else:  # a quarter of what is left is less than what will be missed
            with pytest.raises(RunFailed, match="all would take about 105 s, 5 s over"):
                budget(done, 100)
            return


def test_eval_prints_one_object(tiny_artifact, tiny_data, monkeypatch, capsys):
    where = ("--data-dir", tiny_data.data_dir, "--set", "EVAL_STRIDE=16", "--tokens", 400)
    code, out, _ = run(monkeypatch, capsys, "eval", tiny_artifact.path, *where, "--json")
    result = json.loads(out)
    assert code == 0 and result["positions"] == 400 and result["mode"] == "sliding"
    code, out, _ = run(monkeypatch, capsys, "eval", tiny_artifact.path, *where)
    assert code == 0 and f"val_bpb:{result['val_bpb']:.8f}" in out
    code, out, err = run(monkeypatch, capsys, "eval", tiny_artifact.path, *where[:4], "--max-seconds", "0.001")
    assert code == 1 and "over the budget of 0.001 s" in err and out == ""


def test_eval_takes_the_threads_of_the_run_that_made_it(tiny_artifact, tiny_data, tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    artifact = shutil.copy(tiny_artifact.path, tmp_path)
    (tmp_path / "events.jsonl").write_text(json.dumps({"t": 0.1, "event": "start", "config": {}, "threads": 1}))
    options = ["eval", artifact, "--mode", "fixed", "--data-dir", tiny_data.data_dir, "--tokens", 64, "--json"]
    for asked, threads in (((), 1), (("--set", "CPU_THREADS=2"), 2)):
        torch.set_num_threads(3)
        code, out, _ = run(monkeypatch, capsys, *options, *asked)
        assert (code, json.loads(out)["threads"]) == (0, threads)
    monkeypatch.setenv("OMP_NUM_THREADS", "3")  # as many as torch has begun with
    torch.set_num_threads(3)
    assert json.loads(run(monkeypatch, capsys, *options)[1])["threads"] == 3


def test_any_artifact_is_scored_in_a_stream(tiny_artifact, tiny_data, opened, monkeypatch, capsys):
    where = ("--data-dir", tiny_data.data_dir, "--tokens", 400, "--json", "--mode", "stream")
    code, out, _ = run(monkeypatch, capsys, "eval", tiny_artifact.path, *where)
    whole = json.loads(out)
    assert code == 0 and whole["positions"] == 400
    code, out, _ = run(monkeypatch, capsys, "eval", tiny_artifact.path, *where, "--set", "STREAM_WINDOW=1")
    blind = json.loads(out)  # which sees no token but its own
    assert code == 0 and blind["val_bpb"] > whole["val_bpb"]
    assert abs(whole["val_bpb"] - evaluate_artifact(opened, "sliding", limit=400).val_bpb) < 0.05


@pytest.mark.parametrize(
    "options, reason",
    [
        (("--mode", "slide"), "did you mean sliding"),
        (("--set", "VOCAB_SIZE=4"), "the artifact's own"),
        (("--data-dir", "/nowhere"), "none has datasets/fineweb10B_sp512"),
        (("--split", "test"), "no fineweb_test_"),
        (("--device", "tpu"), "device 'tpu'"),
        (("--preset", "pr1499"), "did you mean pr1493"),
        (("--set", "EVAL_STRIDE=64"), "EVAL_STRIDE 64 is not from 1 to EVAL_SEQ_LEN, 32"),
    ],
)
def test_bad_input_is_said_and_ends_with_2(options, reason, tiny_artifact, tiny_data, monkeypatch, capsys):
    options = options if "--data-dir" in options else ("--data-dir", tiny_data.data_dir, *options)
    code, out, err = run(monkeypatch, capsys, "eval", tiny_artifact.path, *options)
    assert code == 2 and reason in err and out == ""


def test_an_artifact_that_does_not_hold_together_is_refused(tiny_artifact, tmp_path):
    tensors, config = decode(tiny_artifact.path.read_bytes())
    path = tmp_path / "other.ptz"
    for changed, reason in (
        ({"num_layers": 4}, "numbers, it holds"),
        ({"num_layers": "many"}, "num_layers"),
        ({"vocab_size": 511}, "numbers, it holds"),
        ({"num_heads": 3}, "num_heads has to divide model_dim"),
        ({"num_heads": 1, "num_kv_heads": 3}, "num_kv_heads has to divide num_heads"),
        ({"rope_dims": 40}, "make no model"),
        ({"num_layers": 10**9}, "num_layers: 1000000000 is not from 1 to 256"),
        ({"model_dim": 10**7}, "model_dim: 10000000 is not from 1 to 16384"),
        ({"depth": 4}, "other knobs"),
    ):
        path.write_bytes(encode(tensors, config | changed))
        with pytest.raises(BadInput, match=reason):
            open_artifact(path)
    path.write_bytes(tiny_artifact.path.read_bytes()[:-1])
    with pytest.raises(BadInput, match="cut or padded"):
        open_artifact(path)
    with pytest.raises(BadInput, match="No such file"):
        open_artifact(tmp_path / "none")


def with_header(blob: bytes, **changed: object) -> bytes:
    """The artifact with other entries in its header, and a checksum that is right."""
    _, version, n_header, n_payload, _ = HEAD.unpack_from(blob)
    body = blob[HEAD.size :]
    header = brotli.compress(json.dumps(json.loads(brotli.decompress(body[:n_header])) | changed).encode())
    body = header + body[n_header:]
    return HEAD.pack(MAGIC, version, len(header), n_payload, hashlib.sha256(body).digest()) + body


@pytest.mark.parametrize("value", [2**31, 2**63, 10**400, -1, -(2**63), float("inf"), float("nan"), 1e308])
@pytest.mark.parametrize(
    "knob",
    [k for k in MODEL_KNOBS if KNOB_TYPES[k] in (int, float) and KNOBS[k].problem(-1) and KNOBS[k].problem(2**31)],
)
def test_knobs_out_of_range_are_refused_before_anything_is_made_of_them(knob, value, tiny_artifact, tmp_path):
    """NUM_LOOPS 2^31 took gigabytes, MODEL_DIM 2^63 ended in a traceback."""
    _, config, _ = facts_of(tiny_artifact.path.read_bytes())
    path = tmp_path / "hostile.ptz"
    path.write_bytes(with_header(tiny_artifact.path.read_bytes(), config=config | {knob: value}))
    with pytest.raises(Untrusted, match=rf"hostile.ptz: its config: knob {knob}: .* (is not|'.*' is not)") as refused:
        open_artifact(path)
    assert len(str(refused.value)) < 300


def test_every_knob_that_sizes_a_model_has_a_range():
    sizes = {"vocab_size", "num_layers", "model_dim", "num_heads", "num_kv_heads", "mlp_mult", "rope_dims", "num_loops"}
    assert not {k for k in (*sizes, "rope_train_seq_len") if not (KNOBS[k].problem(-1) and KNOBS[k].problem(2**31))}


def test_a_header_that_means_harm_is_refused_in_one_line(tiny_artifact, tmp_path):
    blob = tiny_artifact.path.read_bytes()
    _, config, shapes = facts_of(blob)
    escapes = "\x1b]0;owned\x07" + "x" * 100_000
    path = tmp_path / "hostile.ptz"
    for changed, reason in (
        ({"codec": escapes}, "unknown codec"),
        ({"config": config | {escapes: 1}}, "other knobs"),
        ({"config": config | {"num_layers": [[1]]}}, "num_layers: give a number"),
        ({"config": config | {"num_layers": "9" * 5000}}, "over 4,096 characters"),
        ({"config": config | {"num_layers": escapes[:99]}}, "not a valid int"),
        ({"config": {}}, "is not from"),
        ({"config": config | {"parallel_final_lane": escapes[:99]}}, "has to be mean, attn or mlp"),
        ({"config": config | {"num_loops": 64}}, "numbers, it holds"),
        ({"tensors": [[escapes, *shapes[0][1:]], *shapes[1:]]}, "artifact and model differ"),
        ({"tensors": [[*shapes[0][:2], [1 << 20, 1 << 6]], *shapes[1:]]}, "no trained model comes to"),
        ({"raw": 2**63}, "too much"),
        ({"raw": -5}, "-5 unpacked bytes"),
        ({"raw": -(2**80)}, "unpacked bytes"),
    ):
        path.write_bytes(with_header(blob, **changed))
        with pytest.raises(Untrusted, match=reason) as refused:
            open_artifact(path)
        assert len(str(refused.value)) <= 1000 and str(refused.value).isprintable()


def test_what_is_no_file_or_too_large_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe.ptz")
    with (tmp_path / "sparse.ptz").open("wb") as f:
        f.truncate(200 << 30)
    for name, reason in (("pipe.ptz", "a pipe"), ("sparse.ptz", "over 128 MiB"), ("", "a folder")):
        with pytest.raises(Untrusted, match=reason):
            open_artifact(tmp_path / name)


def test_an_artifact_of_much_in_few_bytes_takes_little_memory(tiny_artifact, tmp_path):
    """A hundred million zeros, which a model of them would hold four times over, in 200 bytes."""
    half = torch.zeros(1, 1 << 16, 1 << 10, dtype=torch.float16)  # MAX_RAW bytes of fp16
    config = facts_of(tiny_artifact.path.read_bytes())[1] | {"vocab_size": 1 << 16, "model_dim": 1 << 10}
    path = tmp_path / "bomb.ptz"
    path.write_bytes(encode({"tok_emb.weight": half}, config))
    ended = run_measured("eval", path)
    assert ended.code == 2 and "no trained model comes to" in ended.err and ended.err.count("\n") == 1
    assert ended.peak < run_measured("-c", "import pgolf.artifact, pgolf.legality").peak + (100 << 20)


def test_several_datasets_in_a_folder_are_not_guessed_between(tiny_artifact, tiny_data, tmp_path):
    for name in ("one", "two"):
        (tmp_path / name / "datasets/fineweb10B_sp512").mkdir(parents=True)
    artifact = open_artifact(tiny_artifact.path)
    with pytest.raises(BadInput, match="several"):
        in_folder(artifact, tmp_path)
    (tmp_path / "two/datasets/fineweb10B_sp512").rmdir()
    assert in_folder(artifact, tmp_path).cfg.datasets_dir == f"{tmp_path}/one/datasets/fineweb10B_sp512"


def test_scoring_leaves_the_process_as_it_was(opened):
    """Arithmetic without denormals is the trainer's; whoever calls the library keeps theirs."""
    evaluate_artifact(opened, "fixed", limit=64)
    assert torch.tensor([1e-40]).mul(1.0).item() > 0
    assert float("5e-324") * 1.0 > 0
