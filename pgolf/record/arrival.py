"""How the dataset of a planned record comes to its pods: bytes, from where, in what time, at what cost."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pgolf.data.source import manifest_of
from pgolf.pods.places import Wanted
from pgolf.pods.rates import Rate, measured
from pgolf.pods.ssh import Data
from pgolf.pods.staging import WAYS, Way, is_large
from pgolf.pods.volume import WHOLE, folder_of
from pgolf.presets import config_of
from pgolf.record.request import Request
from pgolf.record.short import text_of
from pgolf.sources import Source, parse_source
from pgolf.trainer.config import Config
from pgolf.trainer.data import HEADER_INTS


@dataclass(frozen=True)
class Arrival:
    """How a dataset comes to pods.

    Attributes
    ----------
    bytes : of all its files; None: it is not here yet.
    way, where : how it comes, and from which address.
    volume : the network volume that a pod without GPUs fills first; `whole`: which it is known to have done.
    seconds : that it takes at the rate that was measured; None: none was.
    rate : that rate.
    dollars : that the machines cost meanwhile, at the bound of their price.
    train_tokens, read_most : tokens to train on, and how many of them a seed reads at most; None: unknown.
    """

    bytes: int | None
    way: Way
    where: str
    volume: str | None = None
    whole: bool = False
    rate: Rate | None = None
    seconds: float | None = None
    dollars: float | None = None
    train_tokens: int | None = None
    read_most: int | None = None

    def as_json(self) -> dict[str, Any]:
        """The same for JSON."""
        return asdict(self)

    def lines(self) -> Iterator[str]:
        """The same for people."""
        if self.bytes is None:
            yield "not here yet; it is made or fetched first, and then how it comes to the pods can be said"
            return
        yield f"{self.bytes / 1e9:.2f} GB from {self.where}" + (" (network volume first)" if self.volume else "")
        if self.whole:
            yield f"network volume {self.volume} is known to be whole; pods only compare hashes"
        elif self.rate is None or self.seconds is None:
            yield f"no rate measured yet from {WAYS[self.way]}"
        else:
            yield (
                f"about {_time(self.seconds)} at the {self.rate.bytes_per_second / 1e6:.1f} MB/s of "
                f"{self.rate.stagings} earlier times"
                + (f", about ${self.dollars:,.2f}" if self.dollars is not None else "")
                + (" for a pod without GPUs" if self.volume else "")
            )
        if self.read_most is not None and self.train_tokens and self.read_most < self.train_tokens:
            share = self.read_most / self.train_tokens
            yield f"a seed reads at most {self.read_most:,} of {self.train_tokens:,} training tokens ({share:.0%})"
            yield "a dataset of fewer shards comes faster, and is another one"


def _time(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} minutes"


def arrival(request: Request, wanted: Wanted, machines: int, runs_dir: Path, data_dir: Path) -> Arrival:
    """Tell how the dataset comes to `machines` machines at the same time; it is looked at, and not hashed."""
    folder = folder_here(request, data_dir)
    paths = files_here(request, folder) if folder else []
    source, hashes = source_and_hashes(folder) if folder else (None, {})
    way: Way = "here" if source is None else "hub" if source.repository else "web"
    where = source.url if source else WAYS["here"]
    if not folder or not paths:
        return Arrival(None, way, where)
    size = sum(path.stat().st_size for path in paths)
    rate = measured(runs_dir).get(way)
    seconds = size / rate.bytes_per_second if rate else None
    settings, volume, whole, dollars = wanted.settings.runpod, None, False, None
    if wanted.kind == "runpod":
        rent = settings.rent
        data = Data(folder, {path.relative_to(folder).as_posix(): "" for path in paths}, source=source)
        volume = rent.network_volume_id if is_large(data, settings.staging) else None
        whole = bool(volume and hashes and (folder_of(runs_dir, volume, Data(folder, hashes)) / WHOLE).exists())
        price = settings.stage.max_price_per_hour if volume else machines * rent.max_price_per_hour
        dollars = None if seconds is None or whole else price * seconds / 3600
    train = [path for path in paths if path.name.startswith("fineweb_train_")]
    tokens = sum(max(0, path.stat().st_size - 4 * HEADER_INTS) // 2 for path in train)
    most = read_most(request)
    return Arrival(size, way, where, volume, whole, rate, None if whole else seconds, dollars, tokens, most)


def folder_here(request: Request, data_dir: Path) -> Path | None:
    """The dataset's folder; None if it has yet to be made."""
    shards = f"datasets/fineweb10B_sp{request.knobs['vocab_size']}"
    if request.track.corpus != "pydocs":
        return data_dir if (data_dir / shards).is_dir() else None
    made = [path for path in sorted(data_dir.glob("pydocs-*")) if (path / shards).is_dir()]
    return made[-1] if made else None


def files_here(request: Request, folder: Path) -> list[Path]:
    """The dataset's files, shards before the tokenizer."""
    there = Config(data_dir=str(folder), vocab_size=int(request.knobs["vocab_size"]))
    tokenizer = Path(there.tokenizer_path)
    return [*sorted(Path(there.datasets_dir).glob("fineweb_*.bin")), *([tokenizer] if tokenizer.is_file() else [])]


def source_and_hashes(folder: Path) -> tuple[Source | None, dict[str, str]]:
    """The source and the hashes in a dataset's manifest, as far as it has them."""
    manifest = manifest_of(folder)
    files = manifest.get("files")
    if not isinstance(files, dict):
        return None, {}
    source = manifest.get("source")
    hashes = {str(name): str(sha256) for name, sha256 in files.items()}
    return (None if source is None else parse_source(source, hashes, str(folder))), hashes


def read_most(request: Request) -> int | None:
    """Training tokens that a seed reads at most; None if a program of the user's does not say."""
    if request.theirs is None:
        config = config_of(request.knobs)
        return config.iterations * config.train_batch_tokens
    try:
        found = [int(text_of(request.theirs, name) or "") for name in ("ITERATIONS", "TRAIN_BATCH_TOKENS")]
    except ValueError:
        return None
    return found[0] * found[1] if all(number > 0 for number in found) else None
