"""What `pgolf probe` says of every evaluator here: offenders that it misses, honest ones that it accuses, and the time.

    python bench/legality.py [--json] [--quick] [--only WORD …] [--jobs N] [--length N] [--positions N] [--seeds N,…]

Evaluators are those of tests/bad_evaluators and tests/good_evaluators, and of ../shared/cases/probes where it is there.
Each is probed by a command of its own with default options, on a copy of its folder. To save hours, an offender is
first probed at few positions of one stream, and with default options only where that does not catch it; with --quick,
an honest evaluator is probed at few positions only. An offender is caught if a probe fails; an honest evaluator is
accused if the command says anything but that no probe fails. `docs/legality.md` names the offenders that are out of
reach; these may be missed. Last, an evaluator that takes ten milliseconds a token is given --slow-budget seconds.
Exit 0: nothing else is missed, nothing accused, and that budget is kept.
"""

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from _surroundings import SURROUNDINGS
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared" / "cases" / "probes"
FOLDERS = {  # folder → whether its evaluators are honest
    ROOT / "tests" / "bad_evaluators": False,
    ROOT / "tests" / "good_evaluators": True,
    SHARED / "bad": False,
    SHARED / "good": True,
}
HONEST_AMONG_BAD = {"honest", "honest_phased"}  # which the bad ones beside them are made from
HELPERS = {"base", "sidechannel"}  # modules that evaluators import
SLOW = ROOT / "tests" / "good_evaluators" / "token_by_token_slowly.py"
QUICK = ("--positions=8", "--seeds=0")  # enough to catch most offenders
REPORT_S = 5.0  # to put the results together, beyond the budget and the start


@dataclass(frozen=True)
class Case:
    """An evaluator whose offence, or honesty, is known."""

    file: Path
    honest: bool

    @property
    def name(self) -> str:
        return self.file.stem


@dataclass(frozen=True)
class Verdict:
    """What came of an evaluator: `outcome` is caught, missed, out of reach, passed or accused. `quick`: at few
    positions of one stream."""

    name: str
    folder: str
    outcome: str
    quick: bool
    by: tuple[str, ...] = ()  # the probes that fail, or how else the command ended
    counter_example: str = ""
    seconds: float = 0.0


@dataclass(frozen=True)
class Ended:
    """How a command ended. `results` is None if it printed anything but results of probes."""

    code: int
    results: list[dict[str, Any]] | None
    said: str  # the last line of its standard error
    seconds: float = field(compare=False)

    @property
    def failing(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(r["probe"] for r in self.results or () if r["passed"] is False))

    @property
    def example(self) -> str:
        examples = [r["counter_example"]["what"] for r in self.results or () if r["counter_example"]]
        return examples[0] if examples else self.said


def cases(words: Sequence[str]) -> Iterator[Case]:
    """Every evaluator whose name has one of the words."""
    for folder, honest in FOLDERS.items():
        for file in sorted(folder.glob("*.py")):
            if file.stem not in HELPERS and any(word in file.stem for word in words):
                yield Case(file, honest or file.stem in HONEST_AMONG_BAD)


def out_of_reach(page: Path = ROOT / "docs" / "legality.md") -> dict[str, str]:
    """The evaluators that the table "Out of reach" names, each with its reason."""
    _, _, section = page.read_text().partition("\n## Out of reach\n")
    return dict(re.findall(r"^\| `(\w+)` \| (.+) \|$", section.partition("\n## ")[0], re.MULTILINE))


def run(case: Case, folder: Path, options: Sequence[str], limit: float) -> Ended:
    """`pgolf probe` of a copy of the evaluator's folder, which it may write to, ended after `limit` seconds."""
    copy = folder / case.name
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copytree(case.file.parent, copy, ignore=shutil.ignore_patterns("__pycache__"))
    surrounding = SURROUNDINGS.get(case.name)
    with surrounding(copy) if surrounding else nullcontext([]) as more:
        target = f"{copy / case.file.name}:make_evaluator"
        command = [sys.executable, "-m", "pgolf.cli", "probe", target, "--json", *options, *more]
        began = time.perf_counter()
        with (folder / f"{case.name}.out").open("w+") as out, (folder / f"{case.name}.err").open("w+") as err:
            process = subprocess.Popen(
                command,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env={**os.environ, "OMP_NUM_THREADS": "1"},
                start_new_session=True,
            )
            try:
                code = process.wait(limit)
            except subprocess.TimeoutExpired:
                code = 124
            finally:
                with suppress(ProcessLookupError):  # what it started and left goes, too
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            seconds = time.perf_counter() - began
            out.seek(0)
            err.seek(0)
            return Ended(code, results_of(out.read()), " ".join(err.read()[-2000:].split()[-40:]), seconds)


def probed(
    case: Case, folder: Path, options: Sequence[str], quickly: bool, limit: float, unreachable: dict[str, str]
) -> Verdict:
    """What comes of an evaluator: of an offender at few positions first, if no options are given."""
    began = time.perf_counter()
    if not options and (quickly or not case.honest):
        quick = judged(case, run(case, folder / "quick", QUICK, limit), True, unreachable)
        if case.honest or quick.outcome == "caught":
            return quick
    whole = judged(case, run(case, folder, options, limit), False, unreachable)
    return replace(whole, seconds=round(time.perf_counter() - began, 1))


def results_of(text: str) -> list[dict[str, Any]] | None:
    try:
        results = json.loads(text)
        return results if results and all("probe" in r and "passed" in r for r in results) else None
    except (ValueError, TypeError):
        return None


def judged(case: Case, end: Ended, quick: bool, unreachable: dict[str, str]) -> Verdict:
    """An exit code counts only with its verdict: without one an offender is missed, an honest evaluator accused."""
    quiet = end.code == 0 and end.results is not None and not end.failing
    if case.honest:
        outcome = "passed" if quiet else "accused"
    elif end.code == 1 and end.failing:
        outcome = "caught"
    else:
        outcome = "out of reach" if case.name in unreachable else "missed"
    how = () if quiet else end.failing or (f"exit {end.code}",)
    example = "" if quiet else end.example
    place = os.path.relpath(case.file.parent, ROOT)
    return Verdict(case.name, place, outcome, quick, how, example, round(end.seconds, 1))


def summary(verdicts: Sequence[Verdict], unreachable: dict[str, str], seconds: float) -> dict[str, Any]:
    by_outcome = {
        outcome: [v.name for v in verdicts if v.outcome == outcome]
        for outcome in ("caught", "missed", "out of reach", "passed", "accused")
    }
    times = sorted((v.seconds for v in verdicts), reverse=True)
    return {
        "evaluators": len(verdicts),
        **{outcome.replace(" ", "_"): names for outcome, names in by_outcome.items()},
        "reasons": {name: unreachable[name] for name in by_outcome["out of reach"]},
        "seconds": round(seconds, 1),
        "seconds_of_probes": round(sum(times), 1),
        "seconds_of_the_slowest": times[0] if times else 0.0,
        "cases": [asdict(v) for v in verdicts],
    }


def shown(found: dict[str, Any]) -> Table:
    rows = Table("evaluator", "outcome", "by", "seconds")
    for v in found["cases"]:
        colour = {"missed": "red", "accused": "red", "out of reach": "yellow"}.get(v["outcome"], "green")
        rows.add_row(v["name"], f"[{colour}]{v['outcome']}[/{colour}]", ", ".join(v["by"]), f"{v['seconds']:.1f}")
    return rows


def columns() -> tuple[Any, ...]:
    done = MofNCompleteColumn(), TimeElapsedColumn()
    return TextColumn("{task.description}"), BarColumn(), *done, TextColumn("left, about"), TimeRemainingColumn()


def kept_budget(folder: Path, budget: float) -> dict[str, Any]:
    """Whether the probes of an evaluator that takes 10 ms a token end in the time that they are given.

    A budget begins when Python's libraries are loaded: what that takes, in the command and in the process that the
    evaluator's processes come from, is measured just before, by a command that ends then.
    """
    began = time.perf_counter()
    nowhere = [sys.executable, "-m", "pgolf.cli", "probe", "nowhere.py:make_evaluator"]
    subprocess.run(nowhere, cwd=folder, capture_output=True, timeout=600)
    start = time.perf_counter() - began
    end = run(Case(SLOW, True), folder, ["--budget", f"{budget:g}"], 10 * (budget + start))
    kept = end.seconds <= budget + 2 * start + REPORT_S and end.code == 0 and end.results is not None
    figures = {"budget": budget, "start": round(start, 1), "seconds": round(end.seconds, 1), "exit": end.code}
    return {"evaluator": SLOW.stem, **figures, "kept": kept}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--quick", action="store_true", help="probe honest evaluators at few positions only")
    parser.add_argument("--only", nargs="*", default=[""], help="evaluators whose name has one of these words")
    parser.add_argument("--jobs", type=int, default=1, help="evaluators at a time (default: 1, for true times)")
    parser.add_argument("--length", type=int, help="of pgolf probe")
    parser.add_argument("--positions", type=int, help="of pgolf probe")
    parser.add_argument("--seeds", help="of pgolf probe")
    parser.add_argument("--budget", type=float, help="of pgolf probe")
    parser.add_argument(
        "--slow-budget", type=float, default=60.0, help="seconds for the slow evaluator; 0: leave it out"
    )
    parser.add_argument("--limit", type=float, default=1200.0, help="seconds after which a command is ended")
    args = parser.parse_args()
    passed_on = {k: getattr(args, k) for k in ("length", "positions", "seeds", "budget")}
    options = [f"--{name}={value}" for name, value in passed_on.items() if value is not None]
    console, unreachable, began = Console(stderr=True), out_of_reach(), time.perf_counter()
    chosen = list(cases(args.only))
    verdicts: list[Verdict] = []
    with TemporaryDirectory(prefix="pgolf-legality-") as place, Progress(*columns(), console=console) as bar:
        task = bar.add_task("probing", total=len(chosen))

        def one(case: Case) -> Verdict:
            folder = Path(place) / ("honest" if case.honest else "bad") / case.file.parents[1].name
            verdict = probed(case, folder, options, args.quick, args.limit, unreachable)
            why = f": {verdict.counter_example[:300]}" if verdict.outcome in ("missed", "accused") else ""
            said = f"{verdict.seconds:6.1f} s  {verdict.outcome:12} {verdict.name}{why}"
            bar.console.print(said, highlight=False, markup=False)
            bar.advance(task)
            return verdict

        with ThreadPoolExecutor(args.jobs) as pool:
            verdicts = list(pool.map(one, chosen))
        found = summary(verdicts, unreachable, time.perf_counter() - began)
        slow = Path(place) / "slow"
        slow.mkdir()
        found["slow"] = kept_budget(slow, args.slow_budget) if args.slow_budget else None
    if args.json:
        print(json.dumps(found))
    else:
        Console(width=None if sys.stdout.isatty() else 120).print(shown(found))
        for outcome in ("caught", "missed", "out_of_reach", "passed", "accused"):
            names = found[outcome]
            listed = "" if outcome in ("caught", "passed") else f": {', '.join(names) or 'none'}"
            print(f"{outcome.replace('_', ' ')}: {len(names)}{listed}")
        print(f"seconds: {found['seconds']} (of all probes: {found['seconds_of_probes']})", found["slow"] or "")
    return int(bool(found["missed"] or found["accused"] or (found["slow"] and not found["slow"]["kept"])))


if __name__ == "__main__":
    sys.exit(main())
