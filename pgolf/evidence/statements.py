"""A speedrun's README → the lists of losses and times that it gives, and means, deviations and p-values.

Read strictly: a list is a Python list of numbers whose name says losses or times, or a table's column with a row a
run; a figure has its name beside it. In doubt it is neither. Numbers of what has no logs here, as those of the record
before, are left out.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal, NamedTuple

from pgolf.evidence.run import Evidence
from pgolf.evidence.stated import Stated, StatedFigure, StatedList
from pgolf.evidence.tables import Table, tables

Kind = Literal["loss", "time"]
What = Literal["mean", "std"]
Held = Literal["value", "mean", "std", "p"]

MOST_LINES, MOST_CHARS, MOST_LIST_LINES = 20_000, 2_000, 500  # of a README, of a line, of one list
MOST_VALUES, MOST_FOUND = 1_000, 200  # of a list; lists, and figures, of a README
LOSSES = 1.0, 6.0  # nats per token that a run may end with
SPREAD = 0.2  # nats between runs of one program; a list that spreads further is a curve
STRETCH = 1.5  # between their times; further apart they are no runs of one program on one machine
MOST_SECONDS = 10_000.0  # a larger time is in milliseconds

LIST = re.compile(
    r"[\s>*-]{0,20}`{0,2}([A-Za-z_][\w .()-]{0,60}?)`{0,2}\s*[:=]\s*(?:(?:np\.array|torch\.tensor)\()?\[(.*)"
)
NUMBER = r"\d{1,9}(?:\.\d{1,15})?(?:e-?\d{1,2})?"
ONE = re.compile(NUMBER)
GOES_ON = re.compile(r"[\d.,\s>e-]*+(?:[\]#].*)?")
AFTER = re.compile(r"[\s)`;,]*(?:#.*)?")
TITLE = re.compile(r"#{2,6}\s+(.{1,200})|\*\*([^*]{1,100})\*\*:?|([\w ][\w #]{0,59}):")
STD_MEAN = re.compile(rf"(?<!\w)(\w{{1,60}})\W{{0,6}}\(tensor\(({NUMBER})\), ?tensor\(({NUMBER})\)\)")
FIGURE = re.compile(
    r"(?<![\w.])(?:(mean|average|avg|μ)|(std(?:ev|_dev)?|sd|σ|standard deviation))"
    rf"(?![\w(])([^\d|±]{{0,40}})({NUMBER})\s{{0,3}}(ms|s|sec|seconds)?(?![\w.%])"
)
P_VALUE = re.compile(
    rf"(?<![\w.])(p|p[-_ ]?val(?:ue)?)\s{{0,3}}(?:=|:|≈|is)\s{{0,3}}(?:np\.float64\()?({NUMBER})(?![\w.%])"
)
OF_A_TEST = re.compile(r"[\s#>*-]*p\s*[=:]\s*[\d.e-]+[\s.`]*|.*(?:\bmean\b|\bstd\b|t-?test|loss|target|\bruns\b).*")
LEFT_OUT = re.compile(  # figures of these are of no variant, or of one that a sentence names in its own way
    r"improv|faster|slower|reduc|delta|diff|speed-?up|\bsav|median|previous|prior|record|baseline|per step|step[_ ]avg"
    r"|\bwr\b|\bsota\b|\bcurrent\b|\bmaster\b|upstream|\bpr ?#?\d"
    r"|train(?:ing)?[ _]loss|confidence|\bci\b|\bse\b|error"
)

OF_LOSSES, OF_TIMES = {"loss", "losses", "acc", "accs"}, {"time", "times", "seconds", "secs", "ms"}
OF_NO_LIST = {"train", "diff", "diffs", "delta", "deltas", "std", "stds", "mean", "means", "p", "step", "avg", "eval"}
OF_NO_LIST |= {"improvement", "steps", "min", "minutes", "pct", "percent", "ema", "hellaswag", "curve", "compile"}
BESIDE_THE_POINT = {"val", "validation", "final", "train", "training", "of", "the", "all", "runs", "run", "log", "logs"}
BESIDE_THE_POINT |= {"list", "results", "result", "s", "wall", "clock", "wallclock", "is", "was", "for", "at"}
BEFORE = {"baseline", "base", "previous", "prev", "old", "prior", "main", "before", "control", "standing", "reference"}
BEFORE |= {"master", "upstream"}
ANOTHERS = {"wr", "sota", "current"}  # records, which may stand for the baseline and may lie elsewhere
PR_NUMBER = re.compile(r"\bpr ?#? ?\d", re.I)
THIS = {"this", "pr", "new", "ours", "proposed", "record", "mine", "submission"}


class _About(NamedTuple):
    """What a label is about: whether it may be runs of this folder, the variant, and whether the label says it."""

    here: bool = True
    variant: str | None = None
    said: bool = False


@dataclass
class _Reader:
    """What was found so far, and what the last title was about."""

    file: str
    variants: Mapping[str, bool]  # whether each is the baseline
    losses: list[StatedList] = field(default_factory=list)
    times: list[StatedList] = field(default_factory=list)
    figures: dict[tuple[Kind, What], list[StatedFigure]] = field(default_factory=dict)
    p_values: list[StatedFigure] = field(default_factory=list)
    titled: _About = field(default_factory=_About)

    def about(self, label: str) -> _About:
        """What a list or a row is about that is called so; without words of its own what the last title is about."""
        words = _words(label)
        named = [v for v in self.variants if v and _words(v) == words]
        telling = {w for w in words if not w.isdigit()} - BESIDE_THE_POINT - OF_LOSSES - OF_TIMES
        if named:
            return _About(variant=named[0], said=True)
        if telling & BEFORE:
            return self._only(baseline=True)
        if (telling & ANOTHERS or PR_NUMBER.search(label)) and not telling & (THIS - {"pr", "record"}):
            return _About(here=False, said=True)
        if telling and telling <= THIS:
            return self._only(baseline=False)
        return self.titled

    def _only(self, baseline: bool) -> _About:
        found = [v for v, is_one in self.variants.items() if is_one == baseline]
        return _About(bool(found), found[0] or None, True) if len(found) == 1 else _About(bool(found))

    def add_list(self, kind: Kind, numbers: Sequence[str], label: str, line: int, unit: str = "") -> None:
        """Keep a list of numbers, if they can be the results of runs of one program."""
        here, variant, _ = self.about(label)
        scaled = [_scaled(n, kind, unit) for n in numbers]
        values, decimals = [v for v, _ in scaled], max(d for _, d in scaled)
        if kind == "loss":
            fits = LOSSES[0] < min(values) <= max(values) < LOSSES[1] and max(values) - min(values) <= SPREAD
            fits = fits and decimals >= 3
        else:
            fits = min(values) > 0 and max(values) <= STRETCH * min(values)
        found = self.losses if kind == "loss" else self.times
        if here and fits and len(values) > 1 and len(found) < MOST_FOUND:
            found.append(StatedList(tuple(values), decimals, variant, Evidence(self.file, line)))

    def add(self, kind: Kind, what: What, number: str, about: _About, line: int, unit: str = "") -> None:
        """Keep a mean or a standard deviation."""
        value, decimals = _scaled(number, kind, unit)
        fits = kind == "time" or what == "std" or (LOSSES[0] < value < LOSSES[1] and decimals >= 3)
        found = self.figures.setdefault((kind, what), [])
        if about.here and fits and value > 0 and len(found) < MOST_FOUND:
            found.append(StatedFigure(value, decimals, about.variant, Evidence(self.file, line)))

    def add_p(self, number: str, about: _About, line: int) -> None:
        """Keep a p-value."""
        value, decimals = float(number), _decimals(number)
        if about.here and 0 <= value <= 1 and decimals >= 2 and len(self.p_values) < MOST_FOUND:
            self.p_values.append(StatedFigure(value, decimals, about.variant, Evidence(self.file, line)))

    def so_far(self) -> Stated:
        """All that was found."""

        def figures(kind: Kind, what: What) -> tuple[StatedFigure, ...]:
            return tuple(self.figures.get((kind, what), ()))

        return Stated(
            losses=tuple(self.losses),
            times=tuple(self.times),
            loss_means=figures("loss", "mean"),
            loss_stds=figures("loss", "std"),
            time_means=figures("time", "mean"),
            time_stds=figures("time", "std"),
            p_values=tuple(self.p_values),
        )


def read_stated(text: str, file: str, variants: Mapping[str, bool]) -> Stated:
    """The lists and figures in a README.

    Parameters
    ----------
    text, file : of the README; the file's name goes into every line's evidence.
    variants : the names of the folder's variants, and whether each is the baseline.
    """
    lines = [line[:MOST_CHARS] for line in text.splitlines()[:MOST_LINES]]
    reader, in_code = _Reader(file, variants), False
    in_tables = set()
    for table in tables(lines):
        in_tables |= set(range(table.first, table.first + len(table.rows) + 2))
        _table(reader, table, _title_above(reader, lines, table.first))
    until = 0
    for number, line in enumerate(lines, start=1):
        if line.lstrip().startswith("```"):
            in_code = not in_code
        title = TITLE.fullmatch(line.strip()) if not in_code else None
        if title:  # one of the document's own, with a single #, says nothing of a variant
            reader.titled = _About()
            reader.titled = reader.about(title[1] or title[2] or title[3])
        if number > until and (found := LIST.match(line)):
            until = _list(reader, lines, number, found)
        elif number > until and number not in in_tables:
            _figures(reader, line, number)
    return reader.so_far()


def _list(reader: _Reader, lines: Sequence[str], number: int, found: re.Match[str]) -> int:
    """Read the list that begins on this line; the line that it ends on."""
    kind, parts, last = _kind(found[1]), [found[2]], number
    while kind and "]" not in parts[-1] and last < min(len(lines), number + MOST_LIST_LINES):
        if not GOES_ON.fullmatch(lines[last]):
            break
        parts.append(lines[last])
        last += 1
    inside, end, after = "\n".join(p.partition("#")[0] if "]" not in p else p for p in parts).partition("]")
    numbers = inside.replace(",", " ").split()
    if not end or not AFTER.fullmatch(after) or not 2 <= len(numbers) <= MOST_VALUES or not kind:
        return number
    if all(ONE.fullmatch(n) for n in numbers):
        reader.add_list(kind, numbers, found[1], number, "ms" if "ms" in _words(found[1]) else "")
    return last


def _kind(name: str) -> Kind | None:
    """Whether a list that is called so holds losses or times of runs."""
    words = set(_words(name))
    losses, times = words & OF_LOSSES, words & OF_TIMES
    if bool(losses) == bool(times) or words & (OF_NO_LIST - ({"train"} if times else set())):
        return None
    return "loss" if losses else "time"


def _figures(reader: _Reader, line: str, number: int) -> None:
    """Means, deviations and p-values in a line of words or of a program's output."""
    low = line.lower()
    for found in STD_MEAN.finditer(low):
        if kind := _kind(found[1]):
            reader.add(kind, "std", found[2], reader.titled, number)
            reader.add(kind, "mean", found[3], reader.titled, number)
    if not LEFT_OUT.search(low):
        kind = None
        for found in FIGURE.finditer(low):
            words = set(_words(found[3]))
            if words - BESIDE_THE_POINT - OF_LOSSES - OF_TIMES:
                continue
            size = found[4] if found[1] else "0"
            kind = _kind_of_figure(words, low[: found.start()], size, found[5]) or kind
            if kind:
                reader.add(kind, "mean" if found[1] else "std", found[4], reader.titled, number, found[5] or "")
    of_a_test = "p" in low and OF_A_TEST.fullmatch(low)
    for found in P_VALUE.finditer(low):
        if len(found[1]) > 1 or of_a_test:
            reader.add_p(found[2], reader.titled, number)


def _kind_of_figure(words: set[str], before: str, mean: str, unit: str | None) -> Kind | None:
    """By its own words, by the last such word before it, or, of a mean without any, by its size."""
    for said in (words, set(_words(before)[-4:])):
        if bool(said & OF_LOSSES) != bool(said & OF_TIMES):
            return "loss" if said & OF_LOSSES else "time"
    return "time" if unit else "loss" if 2 < float(mean) < LOSSES[1] and _decimals(mean) >= 3 else None


# --- tables
def _title_above(reader: _Reader, lines: Sequence[str], first: int) -> _About:
    """What the last title above a table is about."""
    for line in reversed(lines[max(0, first - 200) : first - 1]):
        if title := TITLE.fullmatch(line.strip()):
            about = reader.about(title[1] or title[2] or title[3])
            if line.startswith("#") or not about.here:
                return about
    return _About()


def _table(reader: _Reader, table: Table, titled: _About) -> None:
    reader.titled = titled
    columns = _columns(table.head)
    labelled = columns[0] == (None, None)
    if all(not labelled or _is_run(row[0]) or _row_figure(row[0]) for row in table.rows):
        for index, (kind, what) in enumerate(columns):
            if kind and what == "value":
                _column_of_runs(reader, table, index, kind, labelled)
    elif labelled:
        _rows_of_variants(reader, table, columns)
    reader.titled = _About()


def _column_of_runs(reader: _Reader, table: Table, index: int, kind: Kind, labelled: bool) -> None:
    """A column with a value a run, and perhaps their mean and standard deviation below."""
    numbers, unit = [], "ms" if "ms" in _words(table.head[index]) else ""
    for line, row in enumerate(table.rows, start=table.first + 2):
        number, own_unit = _cell(row[index])
        figure = _row_figure(row[0]) if labelled else None
        if number and figure:
            reader.add(kind, figure, number, reader.titled, line, own_unit or unit)
        elif number:
            numbers.append(number)
            unit = own_unit or unit
        elif not figure:
            return  # a run without its number: not a list of all
    if numbers:
        reader.add_list(kind, numbers, "", table.first, unit)


def _rows_of_variants(reader: _Reader, table: Table, columns: Sequence[tuple[Kind | None, Held | None]]) -> None:
    """Rows with a variant's figures each; of values under a plain head nobody knows whether they are means."""
    reader.titled = _About()
    for line, row in enumerate(table.rows, start=table.first + 2):
        about = reader.about(row[0])
        if not about.said and not len(reader.variants) == len(table.rows) == 1:
            continue
        for cell, (kind, what) in zip(row, columns, strict=True):
            number, unit = _cell(cell)
            if number and what == "p":
                reader.add_p(number, about, line)
            elif number and kind and (what == "mean" or what == "std"):
                reader.add(kind, what, number, about, line, unit)


def _is_run(label: str) -> bool:
    """Whether a row is called as a run is: by a number, its log, or 'run 3'."""
    return bool(
        re.fullmatch(r"\W*(?:(?:run|seed|trial)\W?)?#?\d{1,4}\W*|\W*[0-9a-f-]{6,36}\W*|\S+\.(?:txt|log)\W*", label)
    )


def _row_figure(label: str) -> What | None:
    words = set(_words(label))
    if words & {"mean", "average", "avg"}:
        return "mean"
    return "std" if words & {"std", "stdev", "sd"} else None


def _columns(heads: Sequence[str]) -> list[tuple[Kind | None, Held | None]]:
    """What each column holds; of one that is only called a deviation: that of the mean beside it."""
    found: list[tuple[Kind | None, Held | None]] = []
    for head in heads:
        beside = found[-1] if found and re.fullmatch(r"\W*(?:std|stdev|sd|σ)\W*", head.lower()) else None
        found.append((beside[0], "std") if beside and beside[1] == "mean" else _column(head))
    return found


def _column(head: str) -> tuple[Kind | None, Held | None]:
    """What a column of a table holds, by its head."""
    low = head.lower()
    words = set(_words(low))
    kind: Kind | None = "loss" if words & OF_LOSSES else "time" if words & OF_TIMES else None
    if re.search(r"\+/-|[±Δδ%]", low) or words & (OF_NO_LIST - {"mean", "std", "avg", "p", "train"}):
        return None, None
    if words & {"p", "pvalue"} or {"p", "value"} <= words:
        return kind, "p"
    if kind is None or (kind == "loss" and "train" in words):
        return None, None
    if words & {"mean", "avg", "average"} or "μ" in low:
        return kind, "mean"
    return kind, "std" if words & {"std", "stdev", "sd"} or "σ" in low else "value"


def _cell(cell: str) -> tuple[str, str]:
    """(number, unit) of a cell; '' where it is not one number."""
    found = re.fullmatch(rf"[\s*`~]*({NUMBER})\s*(ms|s|sec|seconds)?[\s*`]*", cell)
    return (found[1], found[2] or "") if found else ("", "")


# --- numbers and words
def _scaled(number: str, kind: Kind, unit: str) -> tuple[float, int]:
    """(value, decimals), a time in seconds."""
    value, decimals = float(number), _decimals(number)
    if kind == "time" and (unit == "ms" or value > MOST_SECONDS):
        return value / 1000, decimals + 3
    return value, decimals


def _decimals(number: str) -> int:
    """Digits after the point that a printed number tells: 6 of 6.69e-4."""
    exponent = Decimal(number).as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z]+|\d+", text.lower())
