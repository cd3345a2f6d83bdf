"""Sources as people write them, read and never run."""

import pytest

from pgolf.errors import BadInput
from pgolf.program.source import Reading, read_source


def read(source: str, /, **others: str) -> Reading:
    files = {"train_gpt.py": source.encode()}
    return read_source({**files, **{name: text.encode() for name, text in others.items()}}, "train_gpt.py")


def defaults(source: str) -> dict[str, str | None]:
    return {name: variable.default for name, variable in read(source).variables.items()}


BASELINE = """
import os
import uuid
class Hyperparameters:
    data_path = os.environ.get("DATA_PATH", "./data/datasets/fineweb10B_sp1024")
    train_files = os.path.join(data_path, "fineweb_train_*.bin")
    run_id = os.environ.get("RUN_ID", str(uuid.uuid4()))
    seed = int(os.environ.get("SEED", 1337))
    vocab_size = int(os.environ.get("VOCAB_SIZE", 1024))
    tokenizer_path = os.environ.get("TOKENIZER_PATH", f"./data/tokenizers/fineweb_{vocab_size}_bpe.model")
    tie_embeddings = bool(int(os.environ.get("TIE_EMBEDDINGS", "1")))
    train_batch_tokens = int(os.environ.get("TRAIN_BATCH_TOKENS", 524_288))
"""


def test_hyperparameters_in_a_class():
    assert defaults(BASELINE) == {
        "DATA_PATH": "./data/datasets/fineweb10B_sp1024",
        "RUN_ID": None,
        "SEED": "1337",
        "TIE_EMBEDDINGS": "1",
        "TOKENIZER_PATH": "./data/tokenizers/fineweb_1024_bpe.model",
        "TRAIN_BATCH_TOKENS": "524288",
        "VOCAB_SIZE": "1024",
    }


def test_a_script_that_is_not_python_is_refused_with_its_line():
    with pytest.raises(BadInput, match=r"train_gpt.py:2 is not Python"):
        read("import os\nif\n")


MARCH = """
import torch, sys, subprocess
def main():
    if not torch.cuda.is_available():
        raise RuntimeError("CUDA is required")
    def log0(msg, console=True):
        print(msg)
    log0(f"seed:{args.seed}")
    log0(
        f"step:{step}/{args.iterations} val_loss:{val_loss:.4f} val_bpb:{val_bpb:.4f} "
        f"train_time:{training_time_ms:.0f}ms step_avg:{training_time_ms / max(step, 1):.2f}ms"
    )
    log0(f"Total submission size int8+zlib: {quant_file_bytes + code_bytes} bytes")
    log0(f"final_int8_zlib_roundtrip_exact val_loss:{q_val_loss:.8f} val_bpb:{q_val_bpb:.8f}")
if __name__ == "__main__":
    main()
"""

APRIL = """
import torch
def log(msg):
    print(msg)
def timed_eval(label, fn):
    log(f"{label} val_loss:{val_loss:.8f} val_bpb:{val_bpb:.8f} eval_time:{elapsed_ms:.0f}ms")
def main():
    log("Hyperparameters:")
    for k, v in sorted(vars(type(h)).items()):
        log(f"  {k}: {v}")
    set_seed(h.seed)
    log(f"{step}/{h.iterations} train_loss: {train_loss.item():.4f} train_time: {t / 60000:.1f}m")
    timed_eval("pre-quantization post-ema", f)
    timed_eval("quantized_ttt", f)
    log(f"Serialized model quantized+{h.compressor}: {quant_file_bytes} bytes")
    log(f"Code size: {code_bytes} bytes")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
main()
"""


def test_prints_in_the_dialect_of_march():
    assert read(MARCH).prints == {"seed": 8, "step": 9, "time": 9, "size": 13, "final score": 14}


def test_prints_in_the_dialect_of_april():
    found = read(APRIL).prints
    assert found == {"hyperparameters": 8, "seed": 8, "time": 6, "step": 12, "final score": 6, "size": 16}


def test_a_score_before_quantisation_is_no_final_one():
    assert "final score" not in read(APRIL.replace("quantized_ttt", "pre-quantization")).prints


def test_cuda_is_needed_or_not_or_unknown():
    assert (read(MARCH).cuda, read(MARCH).cuda_line) == (True, 4)
    assert (read(APRIL).cuda, read(APRIL).cuda_line) == (False, 17)
    assert read("import torch\nx = torch.zeros(1).cuda()\n").cuda is None
