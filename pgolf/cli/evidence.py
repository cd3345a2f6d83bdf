"""`pgolf audit`, `archive`, `report`, `compare`, `power`."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from pgolf.cli.options import Against, Alpha, AsJson, NamedTrack, Output, RecordFolders, examples
from pgolf.cli.output import show_rows

if TYPE_CHECKING:
    from pgolf.audit.audit import Audit

app = typer.Typer()


@app.command(
    epilog=examples(
        "pgolf audit records/2026-04-09_mine --against pr1493",
        "pgolf audit records/*/*/ --json",
    )
)
def audit(
    folders: RecordFolders,
    against: Against = None,
    track: NamedTrack = None,
    strict: Annotated[bool, typer.Option("--strict", help="Allow no grace over the limits of time.")] = False,
    as_json: AsJson = False,
    html: Annotated[Path | None, typer.Option(help="File to write the audits to as a page, too.")] = None,
) -> None:
    """Check what a record claims against what its logs show.

    Exit 0: no check fails; 1: a check fails; 2: a folder cannot be read.
    """
    from pgolf import tracks
    from pgolf.audit.audit import audit_folders

    _show_audits(audit_folders(folders, tracks.load(track) if track else None, against, strict), as_json, html)


@app.command(
    epilog=examples(
        "pgolf archive records --html leaderboard.html",
    )
)
def archive(
    folder: Annotated[Path, typer.Argument(help="Folder with record folders in it, up to four levels deep.")],
    as_json: AsJson = False,
    html: Annotated[Path | None, typer.Option(help="File to write a leaderboard to, as a page that sorts.")] = None,
) -> None:
    """Audit every record of a repository, one line each.

    Exit 0: no check fails; 1: a check fails; 2: there is no record folder, or one cannot be read.
    """
    from pgolf.audit.audit import audit_folders, record_folders

    audits = audit_folders(record_folders(folder))
    if html:
        from pgolf.report.leaderboard import write_leaderboard

        write_leaderboard(f"Leaderboard of {folder.resolve().name}", audits, html)
    _show_audits(audits, as_json, one_line_each=True)


@app.command(
    epilog=examples(
        "pgolf report records/2026-04-09_mine --against pr1493",
        "pgolf report records/*/*/ -o all.html",
    )
)
def report(
    folders: RecordFolders,
    output: Output = Path("report.html"),
    against: Against = None,
    track: NamedTrack = None,
) -> None:
    """Write a page about a record: curves, stages, limits, evidence.

    The page also has the comparison, the knobs and the hashes; it is one file that loads nothing. Several folders make
    one page with a part each. Exit 0: the page is written, whatever it says; 2: a folder cannot be read, and no page is
    written.
    """
    from pgolf import tracks
    from pgolf.audit.audit import audit_folders

    audits = audit_folders(folders, tracks.load(track) if track else None, against)
    from pgolf.report.page import write_report  # imports matplotlib: a folder that is missing is told before

    typer.echo(str(write_report(audits, output)))


def _show_audits(audits: "list[Audit]", as_json: bool, html: Path | None = None, one_line_each: bool = False) -> None:
    from pgolf.audit.audit import as_json as audits_json
    from pgolf.files import write_atomic
    from pgolf.report.audit_tables import archive_table, as_html, audit_tables

    parts = [archive_table(audits)] if one_line_each else [audit_tables(a) for a in audits]
    if html:
        write_atomic(html, as_html(parts))
    if as_json:
        typer.echo(json.dumps(audits_json(audits), indent=2, allow_nan=False))
    else:
        Console(soft_wrap=False).print(*parts, sep="\n\n")
    raise typer.Exit(1 if any(a.failed for a in audits) else 0)


@app.command(
    epilog=examples(
        "pgolf compare records/2026-04-09_mine pr1493",
        "pgolf compare 1.0780,1.0779,1.0783 mean=1.0810,std=0.0002,n=3",
    )
)
def compare(
    new: Annotated[str, typer.Argument(help="The new record.")],
    old: Annotated[str, typer.Argument(help="The previous record.")],
    margin_nats: Annotated[float, typer.Option(help="The bar: nats per token that the new mean must gain.")] = 0.005,
    alpha: Alpha = 0.01,
    bytes_per_token: Annotated[
        float | None, typer.Option(help="Bytes per token of the validation text, for scores given as numbers.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Test whether a new mean is lower, and clears the bar.

    Runs Welch's test against zero and against the bar, and computes its power. Exit 0, whatever the verdict.

    NEW and OLD are each a record folder, a ledger entry (pr1493), several of these with commas between (reproductions,
    pooled), final scores in bpb (1.0793,1.0802,1.0800), or a published summary (mean=1.0810,std=0.0002,n=3).
    """
    from pgolf.audit.operand import read_operand
    from pgolf.stats import comparison as stats

    new_side = read_operand(new, "new numbers", bytes_per_token)
    old_side = read_operand(old, "previous numbers", bytes_per_token)
    comparison = stats.compare(new_side, old_side, margin_nats, alpha)
    if as_json:
        typer.echo(json.dumps(comparison.as_json(), indent=2, allow_nan=False))
        return
    show_rows(comparison.rows())
    for note in comparison.notes:
        typer.echo(f"- {note}")


@app.command(
    epilog=examples(
        "pgolf power --std 0.0002 --delta 0.0021",
    )
)
def power(
    std: Annotated[float, typer.Option(help="Standard deviation of one seed's score.")],
    delta: Annotated[float, typer.Option(help="The gain to show: previous mean − new mean.")],
    margin: Annotated[float, typer.Option(help="The bar that the gain must clear.")] = 0.0,
    seeds: Annotated[int, typer.Option(help="Number of new seeds that are planned.")] = 3,
    old_seeds: Annotated[int, typer.Option(help="Number of seeds of the previous record.")] = 3,
    alpha: Alpha = 0.01,
    chance: Annotated[float, typer.Option(help="Chance of success to reach.")] = 0.9,
    as_json: AsJson = False,
) -> None:
    """Compute how many seeds are needed to show a gain.

    Give all values in one unit: bpb, or nats per token.
    """
    from pgolf.stats.power import plan_seeds

    answer = plan_seeds(std, delta, margin=margin, n_new=seeds, n_old=old_seeds, alpha=alpha, target=chance)
    if as_json:
        typer.echo(json.dumps(asdict(answer), indent=2))
    else:
        show_rows(answer.rows())
