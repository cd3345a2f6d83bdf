"""`pgolf audit`, `archive`, `report`, `compare`, `power`."""

import json
import os
import sys
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from pgolf.cli.options import (
    Against,
    Alpha,
    AsJson,
    FailOn,
    Format,
    Jobs,
    NamedTrack,
    Output,
    RecordFolders,
    examples,
    ledger_entries,
)
from pgolf.cli.options import tracks as known_tracks
from pgolf.cli.output import show_lines, show_rows, show_tables, with_bar
from pgolf.errors import BadInput

if TYPE_CHECKING:
    from pgolf.audit.many import Unreadable
    from pgolf.stats.power import SeedPlan

app = typer.Typer()


@app.command(
    epilog=examples(
        "pgolf audit records/2026-04-09_mine --against auto",
        "pgolf audit records/2026-04-09_mine --draft",
        "pgolf audit records/*/*/ --format json",
        "pgolf audit records/2026-04-09_mine --format markdown > review.md",
    )
)
def audit(
    folders: RecordFolders,
    against: Against = None,
    track: NamedTrack = None,
    strict: Annotated[bool, typer.Option("--strict", help="Allow no grace over the limits of time.")] = False,
    format: Annotated[
        Format,
        typer.Option(help="Print text, JSON, GitHub's annotations and a job's summary, or Markdown for a review."),
    ] = Format.text,
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
    draft: Annotated[
        bool, typer.Option("--draft", help="Say what a reviewer will say, and what to do before submitting.")
    ] = False,
    fail_on: Annotated[FailOn, typer.Option(help="The mildest finding that makes the exit code 1.")] = FailOn.fail,
    jobs: Jobs = None,
    html: Annotated[Path | None, typer.Option(help="File to write the page of pgolf report to, too.")] = None,
) -> None:
    """Check what a record claims against what its logs show.

    Exit 0: no check fails; 1: a check fails; 2: a folder cannot be read; the others are audited all the same.
    """
    from pgolf import tracks
    from pgolf.audit.many import audit_each
    from pgolf.report.formats import Terminal, Writer, append_summary, show

    chosen = "json" if as_json else format.value
    if draft and chosen not in ("text", "markdown"):
        raise BadInput(f"--draft has no format {chosen}: choose text or markdown")
    rules = tracks.load(track) if track else None
    screen = Console()
    terminal = Terminal(screen.width, screen.color_system) if screen.is_terminal else Terminal(None)
    results = audit_each(
        folders, partial(show, chosen, terminal, html is not None, draft), rules, against, strict, jobs
    )
    writer = Writer(chosen, sys.stdout.write, terminal.width)
    with closing(results):
        for result in with_bar(results, "auditing", len(folders), shown=not screen.is_terminal):
            writer.add(result)
    writer.end()
    sys.stdout.flush()
    if html:
        from pgolf.report.page import write_report_of_all

        writer.unreadable += write_report_of_all(writer.audits, html)
    if chosen == "github" and (summary := os.environ.get("GITHUB_STEP_SUMMARY")):
        append_summary(Path(summary), writer.summary.text(writer.said(), writer.unreadable))
    if chosen == "github" and writer.unreadable:
        raise typer.Exit(2)  # named by annotations: a stranger's words on another line could be commands
    _end(writer.unreadable, writer.failed(fail_on.value))


@app.command(
    epilog=examples(
        "pgolf archive records --html leaderboard.html",
    )
)
def archive(
    folder: Annotated[Path, typer.Argument(help="Folder with record folders in it, up to four levels deep.")],
    as_json: AsJson = False,
    jobs: Jobs = None,
    html: Annotated[Path | None, typer.Option(help="File to write a leaderboard to, as a page that sorts.")] = None,
) -> None:
    """Audit every record of a repository, one line each.

    A record has a submission.json; of a speedrun, it lies with its logs in a track's folder, as in
    track_1_short/2026-07-17_Name. Each track of speedruns has a table of its own, ordered by time or by steps.

    Exit 0: no check fails; 1: a check fails; 2: there is no record folder, or one cannot be read; the others are
    audited all the same.
    """
    from pgolf.audit.archive import record_folders
    from pgolf.audit.many import Unreadable, audit_each
    from pgolf.report.formats import Writer, show_row
    from pgolf.report.speedrun_board import archive_tables
    from pgolf.report.tally import reached, tally

    folders = record_folders(folder)
    writer = Writer("json" if as_json else "text", sys.stdout.write)
    rows = []
    then = partial(show_row, writer.format, html is not None or not as_json)
    with closing(audit_each(folders, then, jobs=jobs)) as results:
        for result in with_bar(results, "auditing", len(folders)):
            if isinstance(result, Unreadable):
                writer.add(result)
                continue
            row, shown = result
            writer.add(shown)
            rows += [row] if row else []
    writer.end()
    sys.stdout.flush()
    if html:
        from pgolf.report.leaderboard import write_leaderboard

        write_leaderboard(f"Leaderboard of {folder.resolve().name}", rows, html)
    if not as_json:
        show_tables(*archive_tables(rows), last=tally(map(reached, rows), len(writer.unreadable)))
    _end(writer.unreadable, writer.failed())


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
    one page: a leaderboard, and a part each. Exit 0: the page is written, whatever it says; 2: a folder cannot be
    read, and no page is written (pgolf audit --html goes on past it).
    """
    from pgolf import tracks
    from pgolf.audit.audit import audit_folders

    audits = audit_folders(folders, tracks.load(track) if track else None, against)
    from pgolf.report.page import write_report  # imports matplotlib: a folder that is missing is told before

    typer.echo(str(write_report(audits, output)))


def _end(unreadable: "Sequence[Unreadable]", failed: bool) -> None:
    """End a command of audits: 2 where a folder could not be read, 1 where a check fails."""
    if unreadable:
        raise BadInput("\n".join(u.problem for u in unreadable))
    if failed:
        raise typer.Exit(1)


@app.command(
    epilog=examples(
        "pgolf compare records/2026-04-09_mine",
        "pgolf compare records/2026-04-09_mine pr1493",
        "pgolf compare 1.0780,1.0779,1.0783 mean=1.0810,std=0.0002,n=3",
    )
)
def compare(
    new: Annotated[str, typer.Argument(help="The new record.")],
    old: Annotated[
        str | None, typer.Argument(help="The previous record; default: the one that stands for the new one's track.")
    ] = None,
    margin_nats: Annotated[float, typer.Option(help="The bar: nats per token that the new mean must gain.")] = 0.005,
    alpha: Alpha = 0.01,
    bytes_per_token: Annotated[
        float | None, typer.Option(help="Bytes per token of the validation text, for scores given as numbers.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Test whether a new mean is lower, and clears the bar.

    Runs Welch's test against zero and against the bar, and computes its power.

    NEW and OLD are each a record folder, a ledger entry (pr1493), several of these with commas between (reproductions,
    pooled), final scores in bpb (1.0793,1.0802,1.0800), or a published summary (mean=1.0810,std=0.0002,n=3). Of two
    folders of speedruns the losses and times of their runs are compared.

    Exit 0: the comparison is shown, whatever its verdict, which --json has, too; 2: bad input.
    """
    from pgolf.audit.operand import read_sides, standing_beside
    from pgolf.audit.two_variants import compare_variants, of_speedruns
    from pgolf.stats import comparison as stats

    old = old or standing_beside(new)
    if of_speedruns(new, old):
        both = compare_variants(Path(new), Path(old))
        _show_comparison(both.as_json(), both.rows(), both.doubts, as_json)
        return
    comparison = stats.compare(*read_sides(new, old, bytes_per_token), margin_nats, alpha)
    _show_comparison(comparison.as_json(), comparison.rows(), comparison.notes, as_json)


def _show_comparison(content: dict[str, Any], rows: list[tuple[str, str]], notes: Iterable[str], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(content, indent=2, allow_nan=False))
        return
    show_rows(rows)
    show_lines(f"- {note}" for note in notes)


@app.command(
    epilog=examples(
        "pgolf power --std 0.0002 --delta 0.0021",
        "pgolf power --track 10min_16mb --std 0.0006 --delta 0.0065",
        "pgolf power --track nanogpt_short --mean 3.2787 --std 0.0016",
        "pgolf power --target 3.28 --mean 3.2787 --std 0.0016 --runs 14",
        "pgolf power --track nanogpt_short --delta 0.4 --std 0.2 --runs 5",
    )
)
def power(
    std: Annotated[float, typer.Option(help="Standard deviation of one seed's score, or of one run's loss or time.")],
    delta: Annotated[float | None, typer.Option(help="The gain to show: previous mean − new mean.")] = None,
    mean: Annotated[
        float | None, typer.Option(help="The mean loss of runs, to show below a target; instead of --delta.")
    ] = None,
    target: Annotated[
        float | None, typer.Option(help="The loss that --mean must be below; default: the track's.")
    ] = None,
    track: Annotated[
        str | None,
        typer.Option(
            help="Rules for what is not given: of a speedrun --target, --runs and --alpha; else --margin, --seeds, "
            "--old-seeds and --alpha, for scores in bpb. A track's name, or a TOML file.",
            autocompletion=known_tracks,
        ),
    ] = None,
    against: Annotated[
        str | None,
        typer.Option(
            help="The record to beat on --track, as pgolf record has it; default: the track's standing one.",
            autocompletion=ledger_entries,
        ),
    ] = None,
    margin: Annotated[float | None, typer.Option(help="The bar for --delta; default: the track's, or 0.")] = None,
    seeds: Annotated[
        int | None,
        typer.Option("--seeds", "--runs", help="Number of new ones; default: the track's, or 3 seeds, or 10 runs."),
    ] = None,
    old_seeds: Annotated[
        int | None,
        typer.Option(
            "--old-seeds",
            "--baseline-runs",
            help="Number of the previous record's; default: that record's, or 3 seeds, or as many runs as new ones.",
        ),
    ] = None,
    alpha: Annotated[
        float | None, typer.Option(help="Level of the one-sided test; default: the track's, or 0.01.")
    ] = None,
    chance: Annotated[float, typer.Option(help="Chance of success to reach.")] = 0.9,
    as_json: AsJson = False,
) -> None:
    """Compute how many seeds are needed to show a gain.

    With --delta, for Welch's test of two means: give all values in one unit, bpb or nats per token; for a speedrun's
    times, seconds. With --mean, how many runs are needed to show a mean loss below a target, for the one-sample test.
    """
    from pgolf.cli import power as questions
    from pgolf.stats.runs import RunPlan
    from pgolf.tracks import Target

    rules = questions.rules_of(track, against)
    answer: SeedPlan | RunPlan
    if mean is None and delta is not None:
        if target is not None:
            raise BadInput("--target is for --mean, a mean loss: leave out --target, or give --mean for --delta")
        answer = questions.of_a_gain(std, delta, rules, margin, seeds, old_seeds, alpha, chance)
    elif mean is not None and delta is None:
        if margin is not None or old_seeds is not None:
            raise BadInput("--mean is compared with a target alone: leave out --margin and --old-seeds")
        answer = questions.of_a_target(std, mean, rules, target, seeds, alpha, chance)
    else:
        raise BadInput("give either --delta, a gain to show, or --mean, a mean loss to show below a target")
    if as_json:
        typer.echo(json.dumps(asdict(answer), indent=2))
    else:
        beat = [rules.row] if isinstance(rules, questions.Bar) else []
        unit = "bpb" if beat else "s" if isinstance(rules, Target) else "(in the unit of --std)"
        answered = answer.rows() if isinstance(answer, RunPlan) else answer.rows(unit, isinstance(rules, Target))
        show_rows([*beat, *answered])
