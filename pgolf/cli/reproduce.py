"""`pgolf reproduce`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pgolf.cli.agreement import Yes, agreed
from pgolf.cli.options import DatasetNear, examples
from pgolf.cli.output import ended_by_ctrl_c, progress_bar, show_lines, tell

if TYPE_CHECKING:
    from pgolf.record.progress import Progress as SeedProgress

app = typer.Typer()
AS_YOU = "It runs as you: it can read, change and send whatever you can."
NEXT = "the same command makes another attempt, from the first step"
SEALED = "It runs sealed off: no network, no home, no files but its own folder and the dataset."


@app.command(
    epilog=examples(
        "pgolf reproduce records/2026-04-09_mine --seed 42",
    )
)
def reproduce(
    folder: Annotated[Path, typer.Argument(help="A record folder, of pgolf's or anyone's; its program is run.")],
    seed: Annotated[int | None, typer.Option(help="One of the record's seeds; default: its first.")] = None,
    artifact: Annotated[
        Path | None,
        typer.Option(
            help="Score this artifact of the seed instead of training one; a program not of pgolf needs `eval_only`."
        ),
    ] = None,
    data_dir: DatasetNear = Path("data"),
    out: Annotated[Path | None, typer.Option(help="Folder to run in; default: runs/reproduce-<folder>.")] = None,
    yes: Yes = False,
    seal: Annotated[
        bool, typer.Option(help="Run the program without network, home and files but its own and the dataset.")
    ] = True,
) -> None:
    """Run a record's program again, and compare the results.

    The code in the folder may be anybody's: pgolf says whose it is and asks first, and runs it sealed off, with no
    network, no home, and no files but its own and the dataset. Takes knobs from the record's logs, and the dataset from
    --data-dir. Stopped by Ctrl-C or killed, it leaves nothing running; the same command makes another attempt, from the
    first step. Where an attempt has come to its end, it shows that result and runs nothing, unless the program has
    changed since; --out names another folder.

    Exit 0: the result lies within the spread of the record's seeds; 1: it does not, or the run failed; 2: bad input, or
    a program that you have not agreed to, or that cannot be sealed off here.
    """
    from pgolf.evidence.lines import printable
    from pgolf.record.disk import check_writable
    from pgolf.record.logged_seed import check_again

    check_again(folder, seed, data_dir, artifact)
    check_writable(out or Path("runs"), "--out")
    from pgolf.record.reproduce import prepare, run_again  # import torch
    from pgolf.record.sealed_job import check_sealable
    from pgolf.record.seeds import has_ended

    name = folder.resolve().name
    again = prepare(folder, out or Path("runs") / f"reproduce-{name}", data_dir, seed, artifact)
    if seal:
        check_sealable()
    agreed(folder, again.program, yes, SEALED if seal else AS_YOU)
    if has_ended(again.job, again.seed):
        said = f"seed {again.seed} has run in {again.out}: this is its result; --out names another folder"
        tell(said)
    elif again.job.anew:
        said = f"seed {again.seed} has run another program in {again.out}: this one is run, as another attempt"
        tell(said)
    with (
        ended_by_ctrl_c("ending what runs; " + NEXT, "stopped: nothing of it runs any more; " + NEXT),
        progress_bar(f"seed {again.seed} of {name}", in_stages=True) as progress,
    ):

        def show(now: "SeedProgress") -> None:
            progress(f"seed {again.seed}: {printable(now.stage)}", now.done, now.total)

        result = run_again(again, seal, show)
    show_lines([str(result)])
    raise typer.Exit(result.inside is not True)
