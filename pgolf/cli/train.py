"""`pgolf train`, `fit`, `pack`, `unpack`."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from pgolf.cli.options import AsJson, Output, Preset, Settings, Track, examples, presets
from pgolf.cli.output import show_rows, stderr
from pgolf.errors import RunFailed

app = typer.Typer()


@app.command(
    epilog=examples(
        "pgolf train --preset smoke --set ITERATIONS=50",
        "pgolf train --preset pr1812 --nproc 8 --data-dir data/fineweb",
        "pgolf train --preset pr1812 --describe",
    )
)
def train(
    preset: Preset = "smoke",
    settings: Settings = None,
    nproc: Annotated[int, typer.Option(min=1, help="Ranks; two or more run under torchrun.")] = 1,
    folder: Annotated[Path | None, typer.Option(help="Folder to work in; default: a new one in runs/train.")] = None,
    data_dir: Annotated[
        Path | None,
        typer.Option(help="Folder with datasets/ and tokenizers/; default: the dataset pydocs, made if missing."),
    ] = None,
    describe: Annotated[
        bool, typer.Option("--describe", help="Print parameters, arithmetic and the expected size; train nothing.")
    ] = False,
    diff: Annotated[
        tuple[str, str] | None,
        typer.Option("--diff", metavar="PRESET PRESET", help="Print the knobs that differ; train nothing."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print description or differences as JSON.")] = False,
) -> None:
    """Train and score once, in the foreground, to try things out.

    Runs the trainer unpacked, and writes the packed file, train_gpt.py, beside its log: that file's size counts. Knobs
    in the environment count too (`TTT_EPOCHS=5 pgolf train`); the preset and --set override them. Refuses a preset that
    this machine cannot train in the time that its knobs allow.
    """
    if diff:
        from pgolf.presets import differences

        found = differences(*diff)
        if as_json:
            typer.echo(json.dumps({name: dict(zip(diff, pair, strict=True)) for name, pair in found.items()}))
        else:
            show_rows([(name, f"{old} → {new}") for name, (old, new) in found.items()] or [("none", "differs")])
        return
    from pgolf.presets import load
    from pgolf.record.request import parse_overrides

    knobs = load(preset, parse_overrides(settings or []))  # refuses before torch is imported
    if describe:
        from pgolf.describe import describe as describe_knobs

        description = {"preset": preset, **asdict(describe_knobs(knobs))}
        if as_json:
            typer.echo(json.dumps(description))
        else:
            show_rows([(k.replace("_", " "), _figures(v)) for k, v in description.items()])
        return
    from pgolf.record.disk import check_writable

    check_writable(folder or Path("runs"), "--folder")
    from pgolf.train import exec_trainer

    exec_trainer(preset, settings or [], nproc, folder, data_dir)


def _figures(value: str | int | dict[str, int]) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {count:,}" for name, count in value.items())
    return value if isinstance(value, str) else f"{value:,}"


@app.command(
    epilog=examples(
        "pgolf fit runs/train/1",
        "pgolf fit runs/train/1 --set MATRIX_BITS=5 -o smaller.ptz",
    )
)
def fit(
    run: Annotated[Path, typer.Argument(help="Folder of a finished run, with final_model.pt and events.jsonl.")],
    track: Track = "10min_16mb",
    cap: Annotated[
        int | None, typer.Option(min=1, help="Bytes of code and model together; default: the track's limit.")
    ] = None,
    code_bytes: Annotated[
        int | None, typer.Option(min=0, help="Bytes of the code; default: the number that the run logged.")
    ] = None,
    settings: Settings = None,
    loss_tokens: Annotated[int, typer.Option(min=1, help="Tokens of unseen training text for each loss.")] = 32768,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="File to write the artifact to.")] = None,
    as_json: AsJson = False,
) -> None:
    """Find the clip widths that fill the cap at the least loss.

    Quantises the model of a finished run. Takes losses on training text that comes after the text the run trained on,
    and leaves SIZE_MARGIN bytes free. A trainer does the same by itself with FIT_TO_CAP=1.
    """
    from pgolf import tracks
    from pgolf.fit import fit as fit_run
    from pgolf.record.request import parse_overrides

    with stderr.status("fitting") as status:
        found = fit_run(
            run,
            cap or tracks.load_limited(track).limits.artifact_bytes,
            code_bytes,
            parse_overrides(settings or []),
            loss_tokens,
            output,
            lambda text: status.update(escape(str(text))),
        )
    if as_json:
        typer.echo(json.dumps(found.as_json()))
        return
    for knob, before in found.widths_before.items():
        typer.echo(f"{knob.upper()}={found.widths[knob]}  (was {before})")
    typer.echo(
        f"model: {found.model_bytes_before:,} → {found.model_bytes:,} bytes; with {found.code_bytes:,} of code "
        f"{found.total_bytes:,} of {found.cap:,}"
    )
    text = "unseen tokens" if found.unseen else "tokens that it trained on, since there are no others"
    typer.echo(f"loss on {found.loss_tokens:,} {text}: {found.loss_before:.6f} → {found.loss:.6f}")
    if found.at_the_narrowest:
        typer.echo("no narrower widths are tried: for a better use of the room raise MATRIX_BITS or EMBED_BITS")


@app.command(
    epilog=examples(
        "pgolf pack --preset pr1812 -o train_gpt.py --explain",
        "pgolf pack --preset pr1812 --check train_gpt.py",
        "pgolf pack --source theirs.py --allow zstandard -o train_gpt.py",
    )
)
def pack(
    preset: Annotated[
        str | None,
        typer.Option(help="Preset whose knobs become the file's defaults; default: none.", autocompletion=presets),
    ] = None,
    output: Output = Path("train_gpt.py"),
    source: Annotated[Path | None, typer.Option(help="Trainer of your own to pack instead of pgolf's.")] = None,
    extra: Annotated[list[Path] | None, typer.Option(help="Module to pack along; repeatable.")] = None,
    allow: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Let the source import this package, or use this name; repeatable."),
    ] = None,
    specialise: Annotated[bool, typer.Option(help="Leave out the code that the preset switches off.")] = False,
    explain: Annotated[bool, typer.Option("--explain", help="Print how many bytes each module costs.")] = False,
    check: Annotated[
        Path | None, typer.Option(help="Write nothing; exit 1 if this file differs from the one to write.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Pack the trainer into one small file, train_gpt.py.

    The file runs where pgolf is not installed. Its knobs stay environment variables: `TTT_EPOCHS=5 python
    train_gpt.py`. The same source gives the same bytes.
    """
    from pgolf import pack as packing
    from pgolf.presets import load

    there = packing.read_packed(check) if check else None  # before seconds of packing
    packed = packing.pack(
        load(preset) if preset else None, source=source, extra=extra or (), specialise=specialise, allow=allow or ()
    )
    if there is not None:
        if why := packing.difference(there, packed):
            raise RunFailed(f"{check}: {why}")
        typer.echo(f"{check} is what this checkout makes ({len(packed.code)} bytes)")
        return
    packing.write_packed(output, packed)
    if as_json:
        typer.echo(json.dumps(packed.facts()))
        return
    if explain:
        for name, size in packed.bytes_by_module.items():
            typer.echo(f"{size:7} {name}")
    typer.echo(f"{len(packed.code):7} {output}")


@app.command(
    epilog=examples(
        "pgolf unpack train_gpt.py",
        "pgolf unpack records/track_10min_16mb/2026-04-09_Theirs/train_gpt.py",
    )
)
def unpack(
    file: Annotated[Path, typer.Argument(help="A script that extracts itself: pgolf's own, or anyone's.")],
) -> None:
    """Print the source of a packed script, without running it.

    Reads the files of `pgolf pack`, and scripts that decode and decompress themselves by lzma, zlib, gzip, bz2 or
    brotli. Says which line extracts what, and names what cannot be followed.
    """
    from pgolf import pack as packing
    from pgolf.program.extracted import check_script, extracted

    check_script(file)
    if packing.is_ours(file):
        code = packing.read_packed(file)
        text = packing.unpack(code, str(file))
        if more := packing.code_around(code):
            typer.echo(f"pgolf: {file}: {more}; it runs beside the source, and is shown before it", err=True)
    else:
        text = extracted(file)
    typer.echo(text.encode(), nl=False)  # as Python reads source, whatever the terminal's encoding
