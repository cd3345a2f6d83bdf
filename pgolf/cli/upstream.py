"""`pgolf draft`: from logs to the folder that is submitted. `pgolf submit`: from the folder to the pull request."""

import json
import re
import shlex
from collections.abc import Iterable, Sequence
from datetime import date as Day
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from pgolf.cli.options import Against, AsJson, NamedTrack, RecordFolder, examples, ledger_entries
from pgolf.cli.options import tracks as known_tracks
from pgolf.cli.output import show_rows, show_table, tell
from pgolf.errors import BadInput
from pgolf.phrases import counted

if TYPE_CHECKING:
    from pgolf.ledger import StandingRecord
    from pgolf.report.from_logs import About
    from pgolf.tracks import Track

app = typer.Typer()
DATED = re.compile(r"(\d{4}-\d\d-\d\d)[_-](.+)")  # a record's folder: its day, and its name


@app.command(
    epilog=examples(
        "pgolf draft seed*.txt --program train_gpt.py -o records/track_10min_16mb/2026-04-30_Mine",
        "pgolf draft a.log b.log c.log --program mine/ --name Mine --against pr1493 --summary 'Wider MLP.'",
        "pgolf draft my_runs/*.txt --baseline-logs runs_of_the_standing_record --program train_gpt.py "
        "--track nanogpt_short --name Mine",
    )
)
def draft(
    logs: Annotated[
        list[Path], typer.Argument(help="Logs of the runs, one a seed, in any dialect; of a speedrun, one a run.")
    ],
    program: Annotated[Path, typer.Option(help="The script that ran, or its folder; it is copied, not run.")],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder to write; default: records/TRACK/DATE_NAME."),
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the submission; default: that of --output.")] = None,
    date: Annotated[
        str | None, typer.Option(help="Day of the submission, as YYYY-MM-DD; default: that of --output, or today.")
    ] = None,
    track: Annotated[
        str | None,
        typer.Option(
            help="The rules: a track's name, or a TOML file; default: the track that --output lies in, or 10min_16mb.",
            autocompletion=known_tracks,
        ),
    ] = None,
    author: Annotated[str, typer.Option(envvar="PGOLF_AUTHOR", help="Author of the submission.")] = "unknown",
    github_id: Annotated[str, typer.Option(envvar="PGOLF_GITHUB_ID", help="The author's GitHub name.")] = "",
    summary: Annotated[str, typer.Option(help="What is new, in a sentence.")] = "",
    artifact: Annotated[
        list[Path] | None,
        typer.Option(help="The compressed model of a log, to weigh and hash; repeat it for each log, in their order."),
    ] = None,
    against: Annotated[
        str | None,
        typer.Option(
            help="The record to beat: a ledger entry, a record folder, or auto: the one that stood for the "
            "track before the submission's day; default: none.",
            autocompletion=ledger_entries,
        ),
    ] = None,
    stage: Annotated[
        str,
        typer.Option(help="The evaluation that counts, by its name in the logs; default: the last one of each log."),
    ] = "",
    baseline_logs: Annotated[
        list[Path] | None,
        typer.Option(help="Of a speedrun: a log of the baseline, or a folder with its logs; repeat it for each."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a draft that is there and differs.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write a submission's folder from logs that pgolf did not run.

    README.md and submission.json say what the logs say; all else is unknown. The logs are copied under their usual
    names, with the program beside them. Of a speedrun, README.md has the table of the runs, and there is no
    submission.json. Then `pgolf audit --draft` says what is missing. Exit 0: the folder is written,
    whatever it says; 2: a log has no final score or cannot be read, or another folder is in the way.
    """
    from pgolf.report.from_logs import About, draft_from_logs
    from pgolf.report.inputs import submission_name

    rules = _track(track, output)
    dated = DATED.fullmatch(output.resolve().name) if output else None
    day = date or (dated[1] if dated else Day.today().isoformat())
    called = name or (dated[2] if dated else output.resolve().name if output else None)
    if not called:
        raise BadInput("name the submission: give --name, or -o FOLDER")
    folder_name = submission_name(day, called)
    target = output or Path("records") / rules.name / folder_name
    if rules.target:
        if against or stage or artifact:
            raise BadInput(
                f"track {rules.name} counts runs: the record to beat is the runs of --baseline-logs, and a run's "
                "result is its last validation loss: leave out --against, --stage and --artifact"
            )
        about = About(called, author, github_id, day, rules, summary)
        _draft_runs(logs, baseline_logs or (), program, about, target, force, as_json)
        return
    if baseline_logs:
        raise BadInput(f"--baseline-logs are of a speedrun, and track {rules.name} counts seeds: give --against")
    about = About(called, author, github_id, day, rules, summary, _standing(against, rules, day), stage)
    found = draft_from_logs(logs, program, about, target, artifact or (), force)
    if as_json:
        content = {
            "folder": str(found.folder),
            "new": found.new,
            "mean_val_bpb": found.mean,
            "std_val_bpb": found.std,
            "seeds": [{"seed": seed, "val_bpb": bpb} for seed, bpb in found.scores],
            "remarks": list(found.remarks),
        }
        typer.echo(json.dumps(content, indent=2))
        return
    _remark(found.remarks)
    std = "unknown" if found.std is None else f"{found.std:.8f}"
    rows = [(f"{bpb:.8f}", f"seed {'unknown' if seed is None else seed}") for seed, bpb in found.scores]
    show_table([*rows, (f"{found.mean:.8f}", f"mean; sample std {std}")], ("val_bpb", ""), {0})
    _next(found.folder, found.new)


def _draft_runs(
    logs: list[Path],
    baseline: Sequence[Path],
    program: Path,
    about: "About",
    target: Path,
    force: bool,
    as_json: bool,
) -> None:
    """The same of a speedrun."""
    from pgolf.audit.audit import finite
    from pgolf.report.runs_from_logs import draft_runs
    from pgolf.report.target_rows import columns, variant_rows

    found = draft_runs(logs, baseline, program, about, target, force)
    if as_json:
        content = {"folder": str(found.folder), "new": found.new, "remarks": list(found.remarks)}
        typer.echo(json.dumps(finite(content | {"variants": found.audit.as_json()["variants"]}), indent=2))
        return
    _remark(found.remarks)
    shown = columns(found.audit)
    rows = [(row.name, *(getattr(row, field) for _, field in shown)) for row in variant_rows(found.audit)]
    headings = ("variant", *(heading for heading, _ in shown))
    show_table(rows, headings, range(1, len(headings)), headed=True)
    _next(found.folder, found.new, "--track", about.track.name)


def _remark(remarks: Iterable[str]) -> None:
    for remark in remarks:
        tell(f"· {remark}")


def _next(folder: Path, new: bool, *options: str) -> None:
    typer.echo(f"{'draft' if new else 'there already, the same'}: {folder}")
    typer.echo(f"next: {shlex.join(['pgolf', 'audit', '--draft', str(folder), *options])}")


def _track(track: str | None, output: Path | None) -> "Track":
    """The track that is named, or the one that the folder lies in, or the main one."""
    from pgolf import tracks
    from pgolf.audit.belonging import DEFAULT_TRACK

    if track:
        return tracks.load(tracks.recognised(track) or track)
    above = [part.lower() for part in output.resolve().parts[-4:-1]] if output else []
    found = (tracks.recognised(name) for name in reversed(above) if name != "records")
    return tracks.load(next((name for name in found if name), DEFAULT_TRACK))


def _standing(against: str | None, track: "Track", day: str) -> "StandingRecord | None":
    """The record to beat, as the user names it."""
    if against is None:
        return None
    if against != "auto":
        from pgolf.ledger.against import standing_of

        return standing_of(against, track)
    from pgolf.ledger.choosing import standing_record

    standing = standing_record(track, before=Day.fromisoformat(day))
    if standing is None:
        raise BadInput(
            f"the ledger has no record of track {track.name} from before {day} that its rules admit: "
            "leave --against out"
        )
    return standing


@app.command(
    epilog=examples(
        "pgolf submit records/2026-04-25_Mine --repo parameter-golf --against auto",
        "pgolf submit records/2026-04-25_Mine --repo parameter-golf -o body.md",
    )
)
def submit(
    folder: RecordFolder,
    repo: Annotated[Path, typer.Option(help="A clone of the archive, or of your fork of it.")],
    against: Against = None,
    track: NamedTrack = None,
    branch: Annotated[
        str | None, typer.Option(help="Branch to commit to; default: record/ and the folder's name.")
    ] = None,
    base: Annotated[
        str | None,
        typer.Option(help="Commit that the branch starts from; default: main of upstream, or origin, as last fetched."),
    ] = None,
    anyway: Annotated[bool, typer.Option("--anyway", help="Commit though a check fails; the body says which.")] = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File for the body; default: it is printed.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Commit a record's folder to a clone of the archive.

    The folder is audited, and committed to a branch of its own; title and body of the pull request, and the commands
    that push it, are printed. Nothing is pushed. Your branch, index and files in the clone stay as they are, and no
    hook of the clone runs. A second run says that the commit is there, or adds one with what has changed. A branch that
    has another record's folder of that name is left alone.

    Exit 0: committed; 1: a check fails, and nothing is committed; 2: the folder or the clone cannot be used.
    """
    from pgolf import tracks
    from pgolf.files import write_atomic
    from pgolf.record.disk import check_output
    from pgolf.upstream.submit import submit as commit

    if output:
        check_output(output, "--output")  # before anything is committed
    done = commit(folder, repo, tracks.load(track) if track else None, against, branch, base, anyway)
    committed, commands = done.committed, done.commands(output)
    if output:
        write_atomic(output, done.body)
    if as_json:
        content = {
            "branch": committed.branch,
            "commit": committed.commit,
            "parent": committed.parent,
            "new": committed.new,
            "base": done.base,
            "path": done.path,
            "files": [{"name": name, "bytes": size} for name, size in done.files],
            "left_out": list(done.left_out),
            "title": done.title,
            "body": done.body,
            "remarks": list(done.remarks),
            "commands": commands,
        }
        typer.echo(json.dumps(content, indent=2))
        return
    for remark in done.remarks:
        tell(Text.assemble(("▲", "yellow"), f" {remark}"))
    size = sum(size for _, size in done.files)
    show_rows(
        [
            ("branch", f"{committed.branch}, from {done.base} of {done.base_day}"),
            ("commit", f"{committed.commit[:12]}{'' if committed.new else ', there already'}"),
            ("folder", f"{done.path}: {counted(len(done.files), 'file')}, {size:,} bytes"),
            ("title", done.title),
            ("body", str(output) if output else "below"),
        ]
    )
    if not output:
        typer.echo(f"\n{done.body}")
    by_hand = done.by_hand(output)
    todo = "push it" if by_hand else "push it, and open the pull request"
    typer.echo(f"{'' if not output else chr(10)}Nothing is pushed. To {todo}:\n")
    for command in commands:
        typer.echo(f"    {command}")
    if by_hand:
        typer.echo(f"\n{by_hand}")
