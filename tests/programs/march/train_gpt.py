"""A trainer in the manner of March 2026: one file, environment variables, `final_int8_zlib_roundtrip_exact`.

One block of attention over a small vocabulary. It trains on any number of ranks, writes the model as int8 in zlib,
reads it back, and scores the whole validation text with that.
"""

import copy
import glob
import io
import math
import os
import random
import sys
import time
import uuid
import zlib
from pathlib import Path

import numpy as np
import sentencepiece as spm
import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn


class Hyperparameters:
    data_path = os.environ.get("DATA_PATH", "./data/datasets/fineweb10B_sp512")
    train_files = os.path.join(data_path, "fineweb_train_*.bin")
    val_files = os.path.join(data_path, "fineweb_val_*.bin")
    tokenizer_path = os.environ.get("TOKENIZER_PATH", "./data/tokenizers/fineweb_512_bpe.model")
    run_id = os.environ.get("RUN_ID", str(uuid.uuid4()))
    seed = int(os.environ.get("SEED", 1337))

    val_batch_size = int(os.environ.get("VAL_BATCH_SIZE", 16_384))
    val_loss_every = int(os.environ.get("VAL_LOSS_EVERY", 0))
    train_log_every = int(os.environ.get("TRAIN_LOG_EVERY", 10))
    iterations = int(os.environ.get("ITERATIONS", 60))
    warmup_steps = int(os.environ.get("WARMUP_STEPS", 2))
    train_batch_tokens = int(os.environ.get("TRAIN_BATCH_TOKENS", 4096))
    train_seq_len = int(os.environ.get("TRAIN_SEQ_LEN", 128))
    max_wallclock_seconds = float(os.environ.get("MAX_WALLCLOCK_SECONDS", 600.0))

    vocab_size = int(os.environ.get("VOCAB_SIZE", 512))
    model_dim = int(os.environ.get("MODEL_DIM", 48))
    num_heads = int(os.environ.get("NUM_HEADS", 2))
    embed_lr = float(os.environ.get("EMBED_LR", 0.02))
    matrix_lr = float(os.environ.get("MATRIX_LR", 0.01))


class Block(nn.Module):
    def __init__(self, dim: int, heads: int):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim, bias=False)
        self.proj = nn.Linear(dim, dim, bias=False)
        self.up = nn.Linear(dim, 2 * dim, bias=False)
        self.down = nn.Linear(2 * dim, dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        batch, length, dim = x.shape
        q, k, v = self.qkv(F.rms_norm(x, (dim,))).view(batch, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.proj(mixed.transpose(1, 2).reshape(batch, length, dim))
        return x + self.down(F.relu(self.up(F.rms_norm(x, (dim,)))).square())


class GPT(nn.Module):
    def __init__(self, args: Hyperparameters):
        super().__init__()
        self.tok_emb = nn.Embedding(args.vocab_size, args.model_dim)
        self.pos_emb = nn.Embedding(args.train_seq_len, args.model_dim)
        self.block = Block(args.model_dim, args.num_heads)
        self.head = nn.Linear(args.model_dim, args.vocab_size, bias=False)
        nn.init.normal_(self.tok_emb.weight, std=0.1)
        nn.init.normal_(self.pos_emb.weight, std=0.1)
        nn.init.zeros_(self.head.weight)

    def losses(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """Nats of every target, (batch, length)."""
        x = self.tok_emb(inputs) + self.pos_emb.weight[: inputs.size(1)]
        x = self.block(x)
        logits = self.head(F.rms_norm(x, (x.size(-1),)))
        return F.cross_entropy(logits.transpose(1, 2).float(), targets, reduction="none")


def load_data_shard(file: Path) -> Tensor:
    header = np.fromfile(file, dtype="<i4", count=256)
    if header.size != 256 or int(header[0]) != 20240520 or int(header[1]) != 1:
        raise ValueError(f"Unexpected shard header for {file}")
    tokens = np.fromfile(file, dtype="<u2", count=int(header[2]), offset=256 * 4)
    if tokens.size != int(header[2]):
        raise ValueError(f"Short read for {file}")
    return torch.from_numpy(tokens.astype(np.int64))


def load_tokens(pattern: str) -> Tensor:
    files = sorted(glob.glob(pattern))
    if not files:
        raise FileNotFoundError(f"No files found for pattern: {pattern}")
    return torch.cat([load_data_shard(Path(f)) for f in files])


def build_luts(sp: spm.SentencePieceProcessor, vocab_size: int) -> tuple[Tensor, Tensor, Tensor]:
    """Of each token: its bytes without a leading space, whether it has one, whether it is a boundary."""
    size = max(sp.vocab_size(), vocab_size)
    base, space, boundary = torch.zeros(size), torch.zeros(size), torch.ones(size)
    for token in range(sp.vocab_size()):
        if sp.is_control(token) or sp.is_unknown(token) or sp.is_unused(token):
            continue
        boundary[token] = 0
        if sp.is_byte(token):
            base[token] = 1
            continue
        piece = sp.id_to_piece(token)
        space[token] = piece.startswith("▁")
        base[token] = len(piece.removeprefix("▁").encode("utf-8"))
    return base, space, boundary


class Ranks:
    """The processes that torchrun has started, or this one alone."""

    def __init__(self) -> None:
        self.rank = int(os.environ.get("RANK", "0"))
        self.size = int(os.environ.get("WORLD_SIZE", "1"))
        if self.size > 1:
            dist.init_process_group("gloo")

    def sum(self, tensor: Tensor) -> Tensor:
        if self.size > 1:
            dist.all_reduce(tensor)
        return tensor

    def first(self, tensor: Tensor) -> Tensor:
        if self.size > 1:
            dist.broadcast(tensor, 0)
        return tensor


def eval_val(args: Hyperparameters, model: GPT, ranks: Ranks, tokens: Tensor, luts: tuple[Tensor, ...]) -> tuple:
    """Nats per token and bits per byte of the whole text, the windows dealt to the ranks."""
    base, space, boundary = luts
    total = torch.zeros(3, dtype=torch.float64)  # nats, tokens, bytes
    length, count = args.train_seq_len, tokens.numel() - 1
    whole = count // length
    windows = [(i * length, length) for i in range(whole)]
    per_batch = max(1, args.val_batch_size // length)
    batches = [windows[i : i + per_batch] for i in range(0, whole, per_batch)]
    if count % length:
        batches.append([(whole * length, count % length)])
    with torch.inference_mode():
        for batch in batches[ranks.rank :: ranks.size]:
            inputs = torch.stack([tokens[start : start + n] for start, n in batch])
            targets = torch.stack([tokens[start + 1 : start + 1 + n] for start, n in batch])
            total[0] += model.losses(inputs, targets).double().sum()
            total[1] += targets.numel()
            total[2] += (base[targets] + space[targets] * (1 - boundary[inputs])).double().sum()
    nats, seen, n_bytes = ranks.sum(total).tolist()
    return nats / seen, nats / math.log(2) / n_bytes


def quantize_int8(state: dict[str, Tensor]) -> dict[str, Tensor]:
    out = {}
    for name, weight in state.items():
        scale = (weight.abs().amax(dim=1, keepdim=True) / 127).clamp_min(1e-8)
        out[name] = (weight / scale).round().clamp(-127, 127).to(torch.int8)
        out[name + ".scale"] = scale.half()
    return out


def dequantize_int8(state: dict[str, Tensor]) -> dict[str, Tensor]:
    names = [n for n in state if not n.endswith(".scale")]
    return {n: state[n].float() * state[n + ".scale"].float() for n in names}


def main() -> None:
    code = Path(__file__).read_text(encoding="utf-8")
    args, ranks = Hyperparameters(), Ranks()
    master = ranks.rank == 0
    logfile = f"logs/{args.run_id}.txt"
    if master:
        os.makedirs("logs", exist_ok=True)
        Path(logfile).write_text("")
        print(logfile, flush=True)

    def log0(msg: str, console: bool = True) -> None:
        if not master:
            return
        if console:
            print(msg, flush=True)
        with open(logfile, "a", encoding="utf-8") as f:
            print(msg, file=f)

    log0(code, console=False)
    log0("=" * 100, console=False)
    log0(f"Running Python {sys.version}", console=False)
    log0(f"Running PyTorch {torch.__version__}", console=False)
    log0("=" * 100, console=False)

    torch.set_num_threads(1)
    random.seed(args.seed)
    np.random.seed(args.seed)
    torch.manual_seed(args.seed)
    sp = spm.SentencePieceProcessor(model_file=args.tokenizer_path)
    if sp.vocab_size() != args.vocab_size:
        raise ValueError(f"VOCAB_SIZE={args.vocab_size} does not match tokenizer vocab_size={sp.vocab_size()}")
    train, val = load_tokens(args.train_files), load_tokens(args.val_files)
    luts = build_luts(sp, args.vocab_size)
    shards = len(glob.glob(args.train_files))
    log0(f"val_bpb:enabled tokenizer_kind=sentencepiece tokenizer_path={args.tokenizer_path}")
    log0(f"train_loader:dataset:{Path(args.data_path).name} train_shards:{shards}")
    log0(f"val_loader:shards pattern={args.val_files} tokens:{val.numel() - 1}")

    model = GPT(args)
    for p in model.parameters():
        ranks.first(p.data)
    rows = max(1, args.train_batch_tokens // (args.train_seq_len * ranks.size))
    optimizer = torch.optim.Adam(
        [
            {"params": [model.tok_emb.weight, model.pos_emb.weight], "lr": args.embed_lr},
            {"params": [*model.block.parameters(), model.head.weight], "lr": args.matrix_lr},
        ],
        betas=(0.9, 0.95),
    )
    picks = torch.Generator().manual_seed(args.seed * 1000 + ranks.rank)

    def train_step(scale: float) -> Tensor:
        starts = torch.randint(train.numel() - args.train_seq_len - 1, (rows,), generator=picks)
        chunk = torch.stack([train[s : s + args.train_seq_len + 1] for s in starts.tolist()])
        optimizer.zero_grad()
        loss = model.losses(chunk[:, :-1], chunk[:, 1:]).mean()
        loss.backward()
        for p in model.parameters():
            ranks.sum(p.grad).div_(ranks.size)
        for group, lr in zip(optimizer.param_groups, (args.embed_lr, args.matrix_lr), strict=True):
            group["lr"] = lr * scale
        optimizer.step()
        return ranks.sum(loss.detach()) / ranks.size

    log0(f"model_params:{sum(p.numel() for p in model.parameters())}")
    log0(f"world_size:{ranks.size} grad_accum_steps:1", console=False)
    log0(f"embed_lr:{args.embed_lr} matrix_lr:{args.matrix_lr} model_dim:{args.model_dim}", console=False)
    log0(
        f"train_batch_tokens:{args.train_batch_tokens} train_seq_len:{args.train_seq_len} "
        f"iterations:{args.iterations} warmup_steps:{args.warmup_steps} "
        f"max_wallclock_seconds:{args.max_wallclock_seconds:.3f}",
        console=False,
    )
    log0(f"seed:{args.seed}", console=False)

    before = copy.deepcopy(model.state_dict()), copy.deepcopy(optimizer.state_dict())
    for step in range(args.warmup_steps):  # kernels get warm; what was learned is thrown away
        train_step(1.0)
        log0(f"warmup_step:{step + 1}/{args.warmup_steps}")
    model.load_state_dict(before[0])
    optimizer.load_state_dict(before[1])

    train_ms, began, stop_after, step = 0.0, time.perf_counter(), None, 0
    while True:
        last = step == args.iterations or (stop_after is not None and step >= stop_after)
        if last or (args.val_loss_every > 0 and step % args.val_loss_every == 0):
            train_ms += 1000 * (time.perf_counter() - began)
            loss, bpb = eval_val(args, model, ranks, val, luts)
            log0(
                f"step:{step}/{args.iterations} val_loss:{loss:.4f} val_bpb:{bpb:.4f} "
                f"train_time:{train_ms:.0f}ms step_avg:{train_ms / max(step, 1):.2f}ms"
            )
            began = time.perf_counter()
        if last:
            if stop_after is not None and step < args.iterations:
                log0(f"stopping_early: wallclock_cap train_time:{train_ms:.0f}ms step:{step}/{args.iterations}")
            break
        scale = min(1.0, 2.0 * (1 - step / max(args.iterations, 1)))
        loss = train_step(scale)
        step += 1
        so_far = train_ms + 1000 * (time.perf_counter() - began)
        if args.train_log_every > 0 and (step <= 5 or step % args.train_log_every == 0):
            log0(
                f"step:{step}/{args.iterations} train_loss:{loss.item():.4f} "
                f"train_time:{so_far:.0f}ms step_avg:{so_far / step:.2f}ms"
            )
        capped = torch.tensor(float(so_far >= 1000 * args.max_wallclock_seconds > 0))
        if stop_after is None and ranks.first(capped).item():
            stop_after = step

    if master:
        raw = io.BytesIO()
        torch.save(model.state_dict(), raw)
        Path("final_model.pt").write_bytes(raw.getvalue())
        code_bytes = len(code.encode("utf-8"))
        log0(f"Serialized model: {len(raw.getvalue())} bytes")
        log0(f"Code size: {code_bytes} bytes")
        log0(f"Total submission size: {len(raw.getvalue()) + code_bytes} bytes")
        quantized = io.BytesIO()
        torch.save(quantize_int8(model.state_dict()), quantized)
        blob = zlib.compress(quantized.getvalue(), level=9)
        Path("final_model.int8.ptz").write_bytes(blob)
        log0(f"Serialized model int8+zlib: {len(blob)} bytes (raw_torch:{len(quantized.getvalue())})")
        log0(f"Total submission size int8+zlib: {len(blob) + code_bytes} bytes")
    ranks.sum(torch.zeros(1))  # the artifact is there now
    blob = Path("final_model.int8.ptz").read_bytes()
    model.load_state_dict(dequantize_int8(torch.load(io.BytesIO(zlib.decompress(blob)), weights_only=True)))
    began = time.perf_counter()
    loss, bpb = eval_val(args, model, ranks, val, luts)
    took = 1000 * (time.perf_counter() - began)
    log0(f"final_int8_zlib_roundtrip val_loss:{loss:.4f} val_bpb:{bpb:.4f} eval_time:{took:.0f}ms")
    log0(f"final_int8_zlib_roundtrip_exact val_loss:{loss:.8f} val_bpb:{bpb:.8f}")
    if ranks.size > 1:
        sys.stdout.flush()
        os._exit(0)  # gloo's threads may abort a process that takes its group down


if __name__ == "__main__":
    main()
