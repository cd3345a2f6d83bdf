"""The probes against evaluators whose offence is known, against a legal one, and against our own."""

import json
import os
import re
import shutil
import sys
from pathlib import Path

import pytest
import torch

from pgolf.cli import main
from pgolf.data.dataset import Dataset
from pgolf.data.shards import write_shard
from pgolf.errors import BadInput, RunFailed
from pgolf.legality import load_factory, probe, probe_artifact, probe_file, probe_target, subject_of
from pgolf.legality.apart import Apart
from pgolf.legality.sealed import run_sealed
from pgolf.legality.streams import replaced, synthetic
from pgolf.legality.verdict import sealed_passes
from pgolf.pack import pack

pytestmark = pytest.mark.training  # evaluators that adapt, and packed files

EVALUATORS = Path(__file__).parents[1] / "bad_evaluators"
CAUSAL, NORMALISED, UPDATE, ONE_PASS = "causal", "normalised", "score before update", "one pass"

# each offence, and all the probes that see it
CAUGHT = {
    "honest": set(),
    "trains_on_window_first": {CAUSAL, UPDATE},
    "trains_on_next_chunk": {CAUSAL, UPDATE},
    "trains_ahead": {UPDATE},
    "rescores_and_keeps_best": {CAUSAL, UPDATE},
    "best_of_two_models": {CAUSAL},
    "temperature_tuned_on_targets": {CAUSAL, UPDATE},
    "bias_tuned_on_targets": {CAUSAL, UPDATE},
    "mass_moved_to_target": {CAUSAL, UPDATE},
    "leaks_at_border": {CAUSAL, UPDATE},
    "leaks_at_one_border": {CAUSAL, UPDATE},
    "leaks_at_hidden_border": {CAUSAL, UPDATE},
    "knows_the_counts": {CAUSAL, UPDATE},
    "sorts_documents": {CAUSAL, UPDATE},
    "ngram_cache_on_top": {NORMALISED},
    "right_only_at_target": {CAUSAL, NORMALISED, UPDATE},
    "losses_of_their_own": {NORMALISED, UPDATE},
    "honest_when_asked": {NORMALISED},
    "remembers_streams": {CAUSAL, NORMALISED, UPDATE},
    "rolls_dice": {CAUSAL, NORMALISED, UPDATE},
    "scores_out_of_order": {CAUSAL, UPDATE, ONE_PASS},
    "scores_twice": {CAUSAL, UPDATE, ONE_PASS},
    "skips_hard_positions": {ONE_PASS},
    "skips_the_last_chunk": {ONE_PASS},
    "changes_scores_afterwards": {ONE_PASS},
    "leaks_at_document_starts": {CAUSAL, UPDATE},
    "leaks_at_document_ends": {CAUSAL, UPDATE},
    "leaks_where_a_token_repeats": {UPDATE},
    "leaks_in_the_second_half": {CAUSAL, UPDATE},
    "leaks_beyond_position_500": {CAUSAL, UPDATE},
    "looks_far_ahead": {CAUSAL, UPDATE},
    "experts_choose_tokens": {CAUSAL, UPDATE},
    "scales_by_the_whole_chunk": {CAUSAL, UPDATE},
    "normalises_over_the_chunk": {CAUSAL, UPDATE},
    "drops_its_worst_update": {CAUSAL},
    "hashed_ngrams_without_the_rest": {CAUSAL, NORMALISED, UPDATE},
    "sums_to_a_little_more": {NORMALISED},
    "one_in_a_hundred_unnormalised": {NORMALISED},
    "nan_for_tokens_not_seen": {NORMALISED, UPDATE},
    "losses_of_a_sharper_model": {NORMALISED, UPDATE},
    "losses_clipped": {NORMALISED, UPDATE},
    "losses_in_float16": {NORMALISED, UPDATE},
    "losses_in_bits": {NORMALISED, UPDATE},
    "vocabulary_has_a_hole": {NORMALISED},
    "mass_outside_the_vocabulary": {NORMALISED},
    "yields_its_chunks_backwards": {CAUSAL, ONE_PASS},
    "overlaps_its_chunks": {CAUSAL, ONE_PASS},
    "skips_the_first_position": {ONE_PASS},
    "skips_document_starts": {ONE_PASS},
    "stops_early": {ONE_PASS},
    "second_pass_counts": {CAUSAL, UPDATE},
    # choices made on the whole stream
    "learning_rate_by_dry_run": {CAUSAL},
    "temperature_by_dry_run": {CAUSAL},
    "epochs_by_dry_run": {CAUSAL},
    "cache_weight_by_dry_run": {CAUSAL},
    "window_by_dry_run": {CAUSAL},
    "learns_by_dry_run": {CAUSAL},
    "learning_rate_of_the_next_chunk": {CAUSAL},
    "knows_the_commonest_token_roughly": {CAUSAL, UPDATE},
    # in few places, or by little
    "leaks_a_little": {CAUSAL, UPDATE},
    "leaks_in_long_repeats": {CAUSAL, UPDATE},
    "leaks_in_the_last_piece": {CAUSAL, UPDATE},
    "hints_at_document_ends": {CAUSAL},
    # out of reach, as docs/legality.md says
    "computes_and_keeps_silent": set(),
    "recognises_the_validation_split": set(),
    "trains_on_pythons_own_text": set(),
}
# the same of those that score documents in an order of their own, which they announce
CAUGHT_IN_ORDER = {
    "honest_phased": set(),
    "phased_trains_on_the_chunk_first": {CAUSAL, UPDATE},
    "phased_shares_an_adapter_in_the_batch": {CAUSAL, UPDATE},
    "phased_keeps_the_adapter": {CAUSAL, UPDATE},
    "phased_learns_the_streams_beginning": {CAUSAL, UPDATE},
    "phased_knows_where_documents_end": {CAUSAL},
    "phased_orders_by_content": {CAUSAL, UPDATE, ONE_PASS},
    "phased_from_right_to_left": {CAUSAL, UPDATE, ONE_PASS},
    "announces_common_tokens_as_documents": {CAUSAL},
}
# of these, each keeps something from one stream to the next, in a place of its own
REMEMBER = tuple(
    f"remembers_in_{place}"
    for place in (
        "cached_function",
        "class_attribute",
        "environment",
        "file_beside_it",
        "foreign_module",
        "patched_function",
        "random_state",
        "temporary_folder",
    )
)
SEALED_OFF = ("reads_training_shards", "reads_below_python", "asks_another_process", "calls_home")
# of these, each leads a probe astray that has them in its own process
UNRULY = (
    *("exits_when_loaded", "exits_in_the_middle", "kills_what_started_it", "prints_a_verdict", "yields_without_end"),
    "recurses_at_the_end",
)
# what tests/legality/test_seal.py sees
SIDE_CHANNELS = (
    *("asks_a_socket_by_its_path", "asks_an_abstract_socket", "reads_shared_memory_of_system_v"),
    *("reads_shared_memory_by_name", "reads_attributes_of_its_file", "reads_the_time_of_its_artifact"),
    *("reads_the_holes_of_its_artifact", "reads_where_a_link_leads", "reads_another_process", "reads_files_in_etc"),
    *("reads_a_key_of_the_kernel", "reads_a_message_queue", "reads_what_an_earlier_pass_left"),
    "reads_who_holds_a_lock",
)
# name → attributes that would make it right
MISCOUNTED = {
    "spaces_counted_twice": {"space": 1},
    "byte_pieces_counted_as_three": {"byte_piece": 1},
    "rare_piece_counted_twice": {"rare": 0},
    "control_tokens_counted": {"control": 0},
    "space_counted_after_a_document_starts": {"leading": 0},
    "spaces_left_out": {"space": 1},
}


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


def factory(name: str, folder: Path = EVALUATORS):
    return load_factory(f"{folder / name}.py:make_evaluator")


def test_every_evaluator_here_has_its_test():
    assert {p.stem for p in EVALUATORS.glob("*.py")} == {
        *CAUGHT,
        *CAUGHT_IN_ORDER,
        *REMEMBER,
        *SEALED_OFF,
        *UNRULY,
        *SIDE_CHANNELS,
        *MISCOUNTED,
    }


@pytest.mark.parametrize("name", CAUGHT)
def test_each_offence_is_caught_by_the_probes_that_can_see_it(name):
    results = probe(subject_of(name, factory(name), length=700), positions=24, seeds=(0,))
    assert {r.probe for r in results if r.passed is False} == CAUGHT[name]
    for r in results:
        assert (r.counter_example is not None) == (r.passed is False), r
        json.dumps(r.as_json(), allow_nan=False)
    if name in ("rolls_dice", "remembers_streams"):
        assert not any(r.deterministic for r in results[:2])
    else:
        assert all(r.deterministic for r in results[:4])


@pytest.mark.parametrize("name", CAUGHT_IN_ORDER)
def test_each_offence_is_caught_in_the_order_that_is_announced(name):
    positions = 12 if name == "phased_learns_the_streams_beginning" else 6  # it does so in few places
    length = 400 if name == "announces_common_tokens_as_documents" else 1500  # it has many documents
    causal, *others = probe(subject_of(name, factory(name), length=length), positions=positions, seeds=(1,))
    assert {r.probe for r in (causal, *others) if r.passed is False} == CAUGHT_IN_ORDER[name]
    if name == "honest_phased":
        assert any("not the stream's" in note for note in causal.notes)
        assert any("made to end later" in note for note in causal.notes)


@pytest.mark.parametrize("name", REMEMBER)
def test_what_is_kept_between_streams_is_seen(name, tmp_path, monkeypatch):
    monkeypatch.setattr(torch, "log_softmax", torch.log_softmax)  # all is put back after the test
    monkeypatch.setattr(json, "_weights", 0.0, raising=False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("PYTORCH_HINT", "0")
    monkeypatch.delenv("PYTORCH_HINT")
    for path in EVALUATORS.glob("*.py"):
        shutil.copy(path, tmp_path)
    results = probe(subject_of(name, factory(name, tmp_path), length=300), positions=4, seeds=(0,))
    assert results[0].passed is False and results[0].deterministic is False


@pytest.mark.parametrize("name", UNRULY)
def test_a_process_that_does_not_end_well_is_a_failed_pass(name):
    results = probe_file(f"{EVALUATORS / name}.py:make_evaluator", length=100, positions=1, seeds=(0,))
    assert [r.probe for r in results if r.passed is False] == [ONE_PASS]


def test_an_order_that_nobody_announces_is_out_of_order():
    def make():
        evaluator = factory("honest_phased")()
        evaluator.order = None
        return evaluator

    results = probe(subject_of("silent", make, length=700), positions=4, seeds=(0,))
    assert {r.probe for r in results if r.passed is False} == {CAUSAL, UPDATE, ONE_PASS}


def test_a_counter_example_can_be_repeated():
    """What it says of the streams must be enough to see the offence without the probe."""
    make = factory("leaks_at_one_border")
    found = next(r for r in probe(subject_of("x", make, length=700), positions=24, seeds=(3,)) if r.probe == UPDATE)
    example = found.counter_example
    assert example.changed == example.position == 7 * 64 + 1
    tokens = synthetic(example.seed, 701, 24)
    other = replaced(tokens, example.changed, example.replacement, 24, example.seed)
    assert (tokens != other).nonzero().flatten().tolist() == [449]
    rows = [torch.cat([logp for _, _, logp in make()(t)])[449 - 1] for t in (tokens, other)]
    assert not torch.equal(*rows)


def test_power_says_what_was_tried():
    causal, *_ = probe(subject_of("honest", factory("honest"), length=700), positions=24, seeds=(0, 1))
    assert causal.positions >= 48 and causal.seeds == (0, 1)
    assert causal.borders >= 2 * 10  # every border of a chunk of 64, in both streams
    assert f"{causal.positions} positions" in causal.power


def test_a_choice_that_long_streams_do_not_move_is_seen_in_a_short_one():
    """Learning wins on any stream of two thousand positions, so that no change of one shows that there was a choice."""
    make = factory("learns_by_dry_run")
    causal, *_ = probe(subject_of("long", make, length=2011), positions=16, seeds=(1,))
    assert causal.passed is False and "2011 and 501 positions" in causal.power


def test_a_stream_grows_until_the_state_changes_a_few_times():
    """A leak at a border is seen only in a stream that has one."""

    def make():
        evaluator = factory("honest")()
        evaluator.chunks = lambda tokens: [(f, min(f + 5000, len(tokens))) for f in range(1, len(tokens), 5000)]
        return evaluator

    def learns_nothing():
        evaluator = factory("honest")()
        evaluator.learn = lambda tokens, first, last: None
        return evaluator

    assert len(subject_of("slow to learn", make).stream(0)) > 4 * 5000
    assert len(subject_of("honest", factory("honest")).stream(0)) < 5000
    assert 8000 < len(subject_of("learns nothing", learns_nothing).stream(0)) < 8192


@pytest.mark.parametrize(
    "evaluator, reason",
    [
        (lambda tokens, want_logp=False: iter([(1, torch.zeros(len(tokens) - 1), None)]), "no log-distributions"),
        (lambda tokens, want_logp=False: iter([(1, torch.zeros(9), torch.zeros(3, 4))]), "shape"),
        (lambda tokens, want_logp=False: iter([7]), "fails on a stream"),
        (lambda tokens: iter([]), "fails on a stream"),
    ],
    ids=["no distributions", "other shape", "no pieces", "no want_logp"],
)
def test_what_is_no_evaluator_is_said_to_be_none(evaluator, reason):
    with pytest.raises(RunFailed, match=reason):
        subject_of("none", lambda: evaluator)


@pytest.mark.parametrize("spec", ["nowhere.py:make_evaluator", f"{EVALUATORS}/honest.py:nothing", "honest"])
def test_a_factory_that_is_not_there_is_bad_input(spec):
    with pytest.raises(BadInput):
        load_factory(spec)


@pytest.mark.parametrize("name", ["honest", *SEALED_OFF])
def test_what_is_read_beyond_its_own_files_is_seen(name, tmp_path):
    for path in EVALUATORS.glob("*.py"):
        shutil.copy(path, tmp_path)
    (tmp_path / "fineweb_train_000000.bin").write_bytes(os.urandom(4000))
    spec = f"{tmp_path / name}.py:make_evaluator"
    with Apart(spec) as apart:
        result = sealed_passes(apart, synthetic(0, 300, 24))
    landlock = "Landlock" in result.power
    expected = name == "honest" or (name == "reads_below_python" and not landlock)
    assert result.passed is expected, result
    files = [tmp_path / "fineweb_train_000000.bin", Path(shutil.which("cat"))]
    with Apart(spec, allowed=files) as apart:
        allowed = sealed_passes(apart, synthetic(0, 300, 24))
    assert allowed.passed is (name != "calls_home"), allowed  # the file was the offence, and nothing else


@pytest.mark.skipif(sys.platform != "linux", reason="network namespaces are Linux's")
def test_the_seal_leaves_no_network_and_no_other_file(tmp_path):
    """Below Python too: the hooks only say what was tried."""
    program, secret = tmp_path / "look.py", tmp_path / "secret"
    secret.write_text("x")
    folder = tmp_path / "work"
    folder.mkdir()
    program.write_text(
        "import ctypes, socket\n"
        "libc = ctypes.CDLL(None)\n"
        f"print(len(socket.if_nameindex()), libc.open({str(secret).encode()!r}, 0), libc.open(b'mine', 0o102, 0o600))\n"
    )
    run = run_sealed(program, [], folder, [], {})
    interfaces, foreign, own = map(int, run.output.split())
    assert ("network namespace" in run.means) == (interfaces <= 1)
    assert ("Landlock" in run.means) == (foreign == -1)
    assert own > 0 and run.offences == () and run.code == 0


@pytest.mark.parametrize("name", MISCOUNTED)
def test_bytes_are_those_of_the_text(name, tiny_data: Dataset, monkeypatch):
    tokenizer = next(tiny_data.data_dir.glob("tokenizers/*.model"))
    monkeypatch.setenv("TOKENIZER_PATH", str(tokenizer))
    bad = factory(name)
    right = type("Right", (bad,), MISCOUNTED[name])
    counted = {make: probe(subject_of(name, make, length=50), positions=1, seeds=(0,))[-1] for make in (bad, right)}
    assert counted[right].passed, counted[right]
    example = counted[bad].counter_example
    assert counted[bad].passed is False
    assert (example.before < example.after) != (name == "spaces_left_out"), example


def test_our_evaluators_pass_every_probe(tiny_artifact, tiny_data: Dataset):
    path, knobs = tiny_artifact.path, tiny_artifact.knobs
    results = probe_artifact(path, None, tiny_data.data_dir, knobs, positions=6)
    assert [r.probe for r in results] == [CAUSAL, NORMALISED, UPDATE, ONE_PASS] * 3 + ["byte-exact", "sealed"]
    assert all(r.passed for r in results), [r for r in results if not r.passed]
    ttt = next(r for r in results if r.subject.startswith("ttt"))
    assert "state was seen to change 4 times" in ttt.power and ttt.borders >= 4
    assert "TTT_CHUNK_TOKENS 64 where the record has 4096" in ttt.notes
    assert "the program that this checkout packs" in results[-1].notes[0]


def test_a_stream_passes_every_probe_with_and_without_adaptation(tiny_artifact, tiny_data: Dataset):
    path, knobs = tiny_artifact.path, tiny_artifact.knobs
    knobs = knobs | {"stream_enabled": True, "stream_window": 20, "stream_piece": 50, "stream_context": 30}
    modes = ["stream", "ttt"]
    results = probe_artifact(path, None, tiny_data.data_dir, knobs, modes=modes, positions=4)
    assert [r.probe for r in results] == [CAUSAL, NORMALISED, UPDATE, ONE_PASS] * 2 + ["byte-exact", "sealed"]
    assert all(r.passed for r in results), [r for r in results if not r.passed]
    assert "fixed, sliding, stream, ttt" in str(results[-1])


@pytest.mark.parametrize("group", [0, 8], ids=["longest first", "left to right"])
def test_phased_adaptation_passes_in_its_own_order(group, tiny_artifact, tiny_data: Dataset, monkeypatch):
    monkeypatch.setattr("pgolf.legality.artifact.DOCUMENTS", 14 if group else 24)  # batches enough for a phase
    knobs = tiny_artifact.knobs | {"phased_ttt_enabled": True, "phased_ttt_group_docs": group, "ttt_lora_rank": 4}
    results = probe_artifact(tiny_artifact.path, None, tiny_data.data_dir, knobs, modes=["phased"], positions=1)
    assert all(r.passed for r in results), [r for r in results if not r.passed]
    causal = results[0]
    changes = int(re.search(r"change (\d+) times", causal.power)[1])
    assert causal.subject.startswith("phased") and changes > (1 if group else 4)
    assert any(("is the stream's" if group else "not the stream's") in note for note in causal.notes)
    assert any("made to end later" in note for note in causal.notes)
    assert "TTT_CHUNK_SIZE 16 where the record has 48" in causal.notes


def test_a_packed_file_that_reads_more_or_scores_otherwise_fails_its_seal(tiny_artifact, tiny_data, tmp_path):
    path, knobs = tiny_artifact.path, tiny_artifact.knobs
    shard = tmp_path / "fineweb_train_000000.bin"
    write_shard(shard, torch.arange(100).numpy())
    code = pack(knobs).code
    reader = tmp_path / "train_gpt.py"
    reader.write_bytes(code.replace(b"\n", f"\nopen({str(shard)!r}).close()\n".encode(), 1))
    result = probe_artifact(path, reader, tiny_data.data_dir, knobs, modes=["fixed"], positions=1)[-1]
    assert result.passed is False and str(shard) in result.counter_example.what
    assert "no trainer packed by pgolf" in result.notes[0]
    reader.write_bytes(pack(knobs | {"logit_softcap": 29.0}).code)
    other = probe_artifact(path, reader, tiny_data.data_dir, knobs, modes=["fixed"], positions=1)[-1]
    assert other.passed  # the artifact's own knobs win over the file's
    assert "the program that this checkout packs" in other.notes[0]  # with other defaults


@pytest.mark.parametrize("asked", [{}, {"cpu_kernels": False}, {"cpu_kernels": True}], ids=["", "without", "with"])
@pytest.mark.parametrize("kernels", [False, True], ids=["a file without kernels", "a file with kernels"])
def test_a_file_is_held_to_the_rounding_of_its_own_kernels(kernels, asked, tiny_artifact, tiny_data, tmp_path):
    path, knobs = tiny_artifact.path, tiny_artifact.knobs
    file = tmp_path / "train_gpt.py"
    file.write_bytes(pack(knobs | {"cpu_kernels": kernels}).code)
    result = probe_artifact(path, file, tiny_data.data_dir, knobs | asked, modes=["fixed"], positions=1)[-1]
    assert result.probe == "sealed" and result.passed, result


def test_targets_are_told_apart(tiny_artifact, tmp_path):
    for target, options in ((str(tiny_artifact.path), {"length": 99}), ("a.py:make", {"preset": "smoke"})):
        with pytest.raises(BadInput, match=r"which .* is not"):
            probe_target(target, **options)
    with pytest.raises(BadInput, match="not an artifact"):
        probe_target(__file__)


def test_the_command_says_by_its_exit_code_whether_a_probe_fails(capsys, monkeypatch):
    def run(name: str, *more: str) -> tuple[int, list]:
        monkeypatch.setattr("sys.argv", ["pgolf", "probe", f"{EVALUATORS / name}.py:make_evaluator", *more])
        with pytest.raises(SystemExit) as end:
            main()
        return end.value.code, capsys.readouterr().out

    code, out = run("leaks_at_border", "--length", "200", "--positions", "8", "--seeds", "5", "--json")
    found = {r["probe"]: r for r in json.loads(out)}
    assert code == 1 and found[UPDATE]["passed"] is False and found[UPDATE]["seeds"] == [5]
    assert found["sealed"]["passed"] and found["byte-exact"]["passed"] is None
    code, out = run("honest", "--length", "200", "--positions", "8", "--seeds", "5")
    assert code == 0 and "fails" not in out and "score before update" in out
