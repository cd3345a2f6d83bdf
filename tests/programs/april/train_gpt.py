"""A trainer in the manner of April 2026: DATA_DIR, a dump of hyperparameters, score-first test-time training."""

import glob
import math
import os
import sys
import time
import uuid

import numpy as np
import sentencepiece
import torch
import torch.distributed as dist
import torch.nn.functional as F
from window_lm import WindowLM, contexts_of, pack, unpack


class Hyperparameters:
    data_dir = os.environ.get("DATA_DIR", "./data/")
    seed = int(os.environ.get("SEED", 1337))
    eval_only = os.environ.get("EVAL_ONLY", "")  # an artifact to score, with no training
    run_id = os.environ.get("RUN_ID", str(uuid.uuid4()))
    iterations = int(os.environ.get("ITERATIONS", 60))
    warmdown_frac = float(os.environ.get("WARMDOWN_FRAC", 0.5))
    warmup_steps = int(os.environ.get("WARMUP_STEPS", 5))
    train_batch_tokens = int(os.environ.get("TRAIN_BATCH_TOKENS", 4096))
    train_seq_len = int(os.environ.get("TRAIN_SEQ_LEN", 256))
    train_log_every = int(os.environ.get("TRAIN_LOG_EVERY", 20))
    max_wallclock_seconds = float(os.environ.get("MAX_WALLCLOCK_SECONDS", 600.0))
    val_batch_tokens = int(os.environ.get("VAL_BATCH_TOKENS", 8192))
    val_loss_every = int(os.environ.get("VAL_LOSS_EVERY", 0))
    vocab_size = int(os.environ.get("VOCAB_SIZE", 512))
    embedding_dim = int(os.environ.get("EMBEDDING_DIM", 32))
    hidden_dim = int(os.environ.get("HIDDEN_DIM", 96))
    context_width = int(os.environ.get("CONTEXT_WIDTH", 4))
    lr = float(os.environ.get("LR", 0.01))
    ttt_enabled = bool(int(os.environ.get("TTT_ENABLED", "1")))
    ttt_lr = float(os.environ.get("TTT_LR", 0.05))
    ttt_chunk_tokens = int(os.environ.get("TTT_CHUNK_TOKENS", 2048))
    world_size = int(os.environ.get("WORLD_SIZE", "1"))
    rank = int(os.environ.get("RANK", "0"))
    is_main_process = rank == 0
    datasets_dir = os.path.join(data_dir, "datasets", f"fineweb10B_sp{vocab_size}")
    train_files = os.path.join(datasets_dir, "fineweb_train_*.bin")
    val_files = os.path.join(datasets_dir, "fineweb_val_*.bin")
    tokenizer_path = os.path.join(data_dir, "tokenizers", f"fineweb_{vocab_size}_bpe.model")
    logfile = f"logs/{run_id}.txt"
    model_path = "final_model.pt"
    quantized_model_path = "final_model.int6.ptz"


h = Hyperparameters()


def log(msg, console=True):
    if h.is_main_process:
        if console:
            print(msg, flush=True)
        with open(h.logfile, "a", encoding="utf-8") as f:
            print(msg, file=f)


def total(tensor):
    """The ranks' sum, in place."""
    if h.world_size > 1:
        dist.all_reduce(tensor)
    return tensor


def read_shards(pattern):
    parts = []
    for path in sorted(glob.glob(pattern)):
        with open(path, "rb") as f:
            header = np.frombuffer(f.read(1024), dtype="<i4")
            assert header[0] == 20240520 and header[1] == 1, f"{path}: no shard of tokens"
            parts.append(np.frombuffer(f.read(2 * int(header[2])), dtype="<u2").astype(np.int64))
            assert len(parts[-1]) == header[2], f"{path}: cut short"
    assert parts, f"no shard {pattern}"
    return torch.from_numpy(np.concatenate(parts)), len(parts)


def bytes_per_token(tokens):
    """Bytes of the text of tokens[1:], float64 (n - 1,)."""
    sp = sentencepiece.SentencePieceProcessor(model_file=h.tokenizer_path)
    assert sp.vocab_size() == h.vocab_size, f"the tokenizer has {sp.vocab_size()} pieces"
    size, spaced, boundary = (np.zeros(h.vocab_size) for _ in range(3))
    for i in range(h.vocab_size):
        if sp.is_control(i) or sp.is_unknown(i) or sp.is_unused(i):
            boundary[i] = 1
        elif sp.is_byte(i):
            size[i] = 1
        else:
            piece = sp.id_to_piece(i)
            spaced[i] = piece[:1] == "\u2581"
            size[i] = len(piece[int(spaced[i]) :].encode())
    ids = tokens.numpy()
    return torch.from_numpy(size[ids[1:]] + spaced[ids[1:]] * (1 - boundary[ids[:-1]]))


def score(model, contexts, targets):
    """Nats of the targets, summed over this rank's share of them."""
    with torch.no_grad():
        batches = range(h.rank * h.val_batch_tokens, len(targets), h.world_size * h.val_batch_tokens)
        nats = torch.zeros((), dtype=torch.float64)
        for i in batches:
            part = slice(i, i + h.val_batch_tokens)
            nats += F.cross_entropy(model(contexts[part]), targets[part], reduction="sum").double()
    return total(nats).item()


def step_on(model, optimizer, contexts, targets):
    """One step on this rank's contexts and targets; the ranks' mean loss."""
    optimizer.zero_grad()
    loss = F.cross_entropy(model(contexts), targets)
    loss.backward()
    for p in model.parameters():
        total(p.grad).div_(h.world_size)
    optimizer.step()
    return total(loss.detach()).item() / h.world_size


def score_first_ttt(model, contexts, targets):
    """Each chunk is scored before the model learns from it."""
    optimizer = torch.optim.SGD(model.parameters(), lr=h.ttt_lr)
    nats, starts = 0.0, range(0, len(targets), h.ttt_chunk_tokens)
    log(f"ttt:start chunks={len(starts)} ttt_lr={h.ttt_lr}")
    for start in starts:
        chunk = slice(start, start + h.ttt_chunk_tokens)
        nats += score(model, contexts[chunk], targets[chunk])
        mine = slice(h.rank, None, h.world_size)
        if start != starts[-1]:
            step_on(model, optimizer, contexts[chunk][mine], targets[chunk][mine])
    return nats


def train(model, tokens, evaluate):
    optimizer = torch.optim.AdamW(model.parameters(), lr=h.lr, betas=(0.9, 0.95), weight_decay=0.01)
    picks = torch.Generator().manual_seed(7919 * h.seed + h.rank)
    rows = max(1, h.train_batch_tokens // h.train_seq_len // h.world_size)
    step, began, spent, stop = 0, time.perf_counter(), 0.0, False
    while True:
        last = stop or step == h.iterations
        if last or (h.val_loss_every and step % h.val_loss_every == 0):
            spent += time.perf_counter() - began
            loss, bpb = evaluate(model)
            log(f"{step}/{h.iterations} val_loss: {loss:.4f} val_bpb: {bpb:.4f}")
            began = time.perf_counter()
        if last:
            break
        warm, left = (step + 1) / max(1, h.warmup_steps), (1 - step / h.iterations) / max(h.warmdown_frac, 1e-6)
        optimizer.param_groups[0]["lr"] = h.lr * min(1.0, warm, left)
        starts = torch.randint(len(tokens) - h.train_seq_len - 1, (rows,), generator=picks).tolist()
        texts = [tokens[s : s + h.train_seq_len + 1] for s in starts]
        contexts = torch.cat([contexts_of(t[:-1], h.context_width) for t in texts])
        loss = step_on(model, optimizer, contexts, torch.cat([t[1:] for t in texts]))
        step += 1
        so_far = spent + time.perf_counter() - began
        if step <= 5 or step % h.train_log_every == 0:
            speed = step * h.train_batch_tokens / so_far
            log(f"{step}/{h.iterations} train_loss: {loss:.4f} train_time: {so_far / 60:.4f}m tok/s: {speed:.0f}")
        out_of_time = torch.tensor(float(so_far >= h.max_wallclock_seconds))
        stop = total(out_of_time).item() > 0
    if step < h.iterations:
        log(f"stopping_early: wallclock_cap train_time: {1000 * spent:.0f}ms step: {step}/{h.iterations}")


def write_artifact(model):
    torch.save(model.state_dict(), h.model_path)
    code = sum(os.path.getsize(f) for f in (__file__, os.path.join(os.path.dirname(__file__), "window_lm.py")))
    log(f"Serialized model: {os.path.getsize(h.model_path)} bytes")
    log(f"Code size: {code} bytes")
    blob = pack(model.state_dict())
    with open(h.quantized_model_path, "wb") as f:
        f.write(blob)
    log(f"Serialized model quantized+brotli: {len(blob)} bytes")
    log(f"Total submission size quantized+brotli: {len(blob) + code} bytes")


def main():
    torch.set_num_threads(1)
    if h.world_size > 1:
        dist.init_process_group("gloo")
    if h.is_main_process:
        os.makedirs("logs", exist_ok=True)
        open(h.logfile, "w").close()
    log("Hyperparameters:")
    for name in sorted(n for n in vars(Hyperparameters) if not n.startswith("_")):
        log(f"  {name}: {getattr(h, name)}")
    torch.manual_seed(h.seed)
    val, _ = read_shards(h.val_files)
    log(f"val_tokens: {len(val) - 1}")
    val_bytes = bytes_per_token(val).sum().item()
    contexts, targets = contexts_of(val[:-1], h.context_width), val[1:]

    def rates(nats):
        return nats / len(targets), nats / math.log(2) / val_bytes

    def evaluate(model):
        return rates(score(model, contexts, targets))

    def timed(name, work):
        began = time.perf_counter()
        loss, bpb = work()
        took = 1000 * (time.perf_counter() - began)
        log(f"{name} val_loss:{loss:.8f} val_bpb:{bpb:.8f} eval_time:{took:.0f}ms")

    model = WindowLM(h.vocab_size, h.embedding_dim, h.hidden_dim, h.context_width)
    log(f"model_params:{sum(p.numel() for p in model.parameters())}")
    if not h.eval_only:
        tokens, shards = read_shards(h.train_files)
        log(f"train_shards: {shards}")
        train(model, tokens, evaluate)
        timed("pre-quantization", lambda: evaluate(model))
        if h.is_main_process:
            write_artifact(model)
        total(torch.zeros(1))  # a barrier: all ranks read what the first has written
    with open(h.eval_only or h.quantized_model_path, "rb") as f:
        model.load_state_dict(unpack(f.read()))
    timed("quantized", lambda: evaluate(model))
    if h.ttt_enabled:
        timed("quantized_ttt", lambda: rates(score_first_ttt(model, contexts, targets)))
    if h.world_size > 1:
        sys.stdout.flush()
        os._exit(0)  # gloo's threads may abort a process that takes its group down


if __name__ == "__main__":
    main()
