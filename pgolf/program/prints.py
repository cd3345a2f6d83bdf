"""The facts that a source's prints would state, judged by the log reader: which of its lines it would understand.

Each print is filled in with constants where they are known, and with plausible numbers where they are not.
"""

import ast
import itertools
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pgolf.evidence import dialect
from pgolf.evidence.parser import Parser
from pgolf.program.constants import SPEC
from pgolf.program.sources import Sources
from pgolf.program.syntax import Module

PRINTS = re.compile(r"print|log|info|say|echo|emit|write|report|msg|message|warn|debug|stat|show|append", re.I)
DUMPS = ("vars", "dataclasses.asdict", "json.dumps", "dict", "pprint.pformat", "dataclasses.replace")
MOST_CASES, MOST_LINES, MOST_DEPTH = 20, 4000, 8
STEP_LINE = "step:1/3 train_loss:1.0"  # after it a line tells of a run that has begun
NAMELESS = re.compile(r"1(?= )")  # what is not known at the head of a line may be the name of a score, too
PLACEHOLDER = re.compile(r"\{[^{}]*\}")
PERCENT = re.compile(r"%(?:\(\w+\))?[-+ #0]*\d*(?:\.\d+)?[a-zA-Z]")


def prints(sources: Sources) -> dict[str, int]:
    """The facts that the sources' prints would state, and the first line of source that states each."""
    found: dict[str, int] = {}
    judged: dict[str, set[str]] = {}
    for m in sources.modules:
        seed = any(_names_seed(node) for node in m.nodes)
        calls = [node for node in m.nodes if isinstance(node, ast.Call) and _prints(m, node)]
        for node in sorted(calls, key=_passes_on):
            lines = (line for text in _said(sources, m, node) for line in text.split("\n")[:100])
            for line in lines:
                if line not in judged and len(judged) < MOST_LINES:
                    judged[line] = _facts(line[:2000], seed)
                for fact in judged.get(line, ()):
                    found.setdefault(fact, node.lineno)
    parts = [found.pop(part, None) for part in ("model", "code")]
    if all(parts):
        found.setdefault("size", max(line for line in parts if line))
    return found


def _passes_on(node: ast.Call) -> bool:
    """Whether a call prints what it was given: `print(msg)` in a function for logging. The others say it first."""
    return isinstance(node.args[0], ast.Name)


def _names_seed(node: ast.AST) -> bool:
    """Whether a node makes a knob of the name: an attribute, a variable of a class, a key."""
    if isinstance(node, ast.Name | ast.Attribute):
        return (node.id if isinstance(node, ast.Name) else node.attr).lower() == "seed"
    return isinstance(node, ast.Constant) and node.value in ("seed", "SEED", "--seed")


def _facts(line: str, seed: bool) -> set[str]:
    """What a line states to the log reader, before a run has begun and within it. `seed`: the program has that knob."""
    facts: set[str] = set()
    if dialect.KNOBS.fullmatch(line.strip().lower()):
        facts = {"hyperparameters", "seed"} if seed else {"hyperparameters"}
    named = NAMELESS.sub("final", line, count=1) if NAMELESS.match(line) else line
    for before, told in (([], line), ([STEP_LINE], line), ([STEP_LINE], named)):
        parser = Parser(Path("log"), "log")
        for number, text in enumerate([*before, told], 1):
            parser.feed(number, text)
        run = parser.finish()
        if run is None:
            continue
        steps = [p for p in (*run.train_curve, *run.val_curve) if p.at.line > len(before)]
        eval_time = run.total_eval_seconds or (run.final and run.final.eval_seconds is not None)
        stated = {
            "step": steps,
            "final score": run.final,
            "size": run.artifact_bytes,
            "model": run.model_bytes,
            "code": run.code_bytes,
            "time": run.train_seconds or eval_time or any(p.seconds is not None for p in steps),
            "seed": run.seed,
            "hyperparameters": run.hyperparameters and run.hyperparameters.keys() - {"seed"},
        }
        facts |= {fact for fact, value in stated.items() if value}
    return facts


def _prints(m: Module, node: ast.Call) -> bool:
    """Whether a call prints its text: by its name, or since the program's own function of that name prints."""
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    if not node.args or isinstance(m.parents.get(node), ast.Raise):
        return False
    if PRINTS.search(name):
        return True
    function = m.value(name, node) if isinstance(node.func, ast.Name) else None
    if isinstance(function, ast.Name | ast.Attribute):
        return bool(PRINTS.search(m.full_name(function)))
    if not isinstance(function, ast.FunctionDef | ast.Lambda):
        return False
    inner = itertools.islice(ast.walk(function), 5000)
    return any(isinstance(n, ast.Call) and PRINTS.search(ast.unparse(n.func)[-40:]) for n in inner)


def _said(sources: Sources, m: Module, node: ast.Call) -> Iterator[str]:
    """The texts that a call prints: one for each case of the labels that come from loops and parameters."""
    texts: dict[str, None] = {}
    for bound in itertools.islice(sources.cases(m, list(node.args)), MOST_CASES):
        texts.setdefault(_line(sources, m, node, bound))
    if not texts:
        texts.setdefault(_line(sources, m, node, {}))
    yield from (text for text in texts if text.strip())


def _line(sources: Sources, m: Module, node: ast.Call, bound: Mapping[str, Any]) -> str:
    first = node.args[0]
    rest = node.args[1:]
    if isinstance(first, ast.Constant) and isinstance(first.value, str) and rest and PERCENT.search(first.value):
        return PERCENT.sub("1", first.value)  # as logging does: logger.info("step:%d", step)
    filler = _Filler(sources, m, bound)
    return " ".join(filler.text(n) for n in (node.args if _name(node) == "print" else node.args[:1]))[:20_000]


def _name(node: ast.Call) -> str:
    return node.func.id if isinstance(node.func, ast.Name) else ""


class _Filler:
    """Texts with numbers in place of what is known only when the program runs."""

    def __init__(self, sources: Sources, m: Module, bound: Mapping[str, Any]) -> None:
        self.sources, self.m, self.bound = sources, m, bound

    def text(self, node: ast.AST, depth: int = 0) -> str:
        """What an expression prints; a number where it is unknown."""
        if depth > MOST_DEPTH:
            return "1"
        match node:
            case ast.Constant():
                return str(node.value)
            case ast.JoinedStr():
                return "".join(self.text(n, depth + 1) for n in node.values)
            case ast.FormattedValue():
                return self._value(node, depth)
            case ast.BinOp(op=ast.Add()):
                return self.text(node.left, depth + 1) + self.text(node.right, depth + 1)
            case ast.BinOp(op=ast.Mod(), left=ast.Constant(value=str(template))):
                return PERCENT.sub("1", template)
            case ast.BinOp(op=ast.Mod(), left=ast.JoinedStr()):
                return PERCENT.sub("1", self.text(node.left, depth + 1))
            case ast.IfExp():
                return self.text(node.body, depth + 1)
            case ast.Starred():
                return self.text(node.value, depth + 1)
            case ast.List() | ast.Tuple():
                return " ".join(self.text(n, depth + 1) for n in node.elts)
            case ast.Call():
                return self._call(node, depth)
            case ast.Name():
                return self._variable(node, depth)
        return self._known(node)

    def _known(self, node: ast.AST) -> str:
        value = self.sources.known(self.m, node, self.bound)
        if isinstance(node, ast.Attribute) and node.attr in ("__dict__", "__annotations__"):
            return self._dump()
        return str(value) if isinstance(value, str | int | float) else "1"

    def _dump(self) -> str:
        return '{"seed": 1, "lr": 1}' if any(map(_names_seed, self.m.nodes)) else '{"lr": 1, "steps": 1}'

    def _value(self, node: ast.FormattedValue, depth: int) -> str:
        spec = node.format_spec
        plain = self.text(spec, depth + 1) if spec else ""
        value = self.sources.known(self.m, node.value, self.bound)
        if not isinstance(value, str | int | float):
            text = self.text(node.value, depth + 1)
            value = 1 if text == "1" else text
        for tried in (value, 1):
            try:
                return format(tried, plain if SPEC.fullmatch(plain) else "")
            except (ValueError, OverflowError):
                continue
        return "1"

    def _call(self, node: ast.Call, depth: int) -> str:
        name = self.m.full_name(node.func)
        method = node.func if isinstance(node.func, ast.Attribute) else None
        if name in DUMPS:
            return self._dump()
        if method and method.attr == "format":
            return PLACEHOLDER.sub("1", self.text(method.value, depth + 1))
        if method and method.attr == "join" and node.args:
            return self._joined(method, node.args[0], depth)
        if name in ("str", "repr") and node.args:
            return self.text(node.args[0], depth + 1)
        if method and method.attr in ("ljust", "rjust", "strip", "rstrip", "upper", "lower"):
            return self.text(method.value, depth + 1)
        return self._known(node)

    def _joined(self, method: ast.Attribute, items: ast.expr, depth: int) -> str:
        between = self.text(method.value, depth + 1)
        if isinstance(items, ast.Name):
            made = [b for b in self.m.lookup(items.id, items) if isinstance(b, ast.List | ast.ListComp)]
            items = made[0] if made else items
        if isinstance(items, ast.ListComp | ast.GeneratorExp):
            rounds = list(itertools.islice(self.sources.cases(self.m, [items.elt]), MOST_CASES)) or [{}]
            return between.join(
                _Filler(self.sources, self.m, {**self.bound, **b}).text(items.elt, depth + 1) for b in rounds
            )
        if isinstance(items, ast.List | ast.Tuple):
            return between.join(self.text(n, depth + 1) for n in items.elts)
        return self.text(items, depth + 1)

    def _variable(self, node: ast.Name, depth: int) -> str:
        """A text put together in a variable: all that is ever added to it, in order."""
        value = self.sources.known(self.m, node, self.bound)
        if isinstance(value, str | int | float):
            return str(value)
        if node.id in self.bound:
            return "1"
        pieces = [p for p in self.m.lookup(node.id, node)[:10] if isinstance(p, ast.expr)]
        if len(pieces) == 1 and isinstance(pieces[0], ast.Call) and self._is_namespace(pieces[0]):
            return f"Namespace({'seed=1, ' if any(map(_names_seed, self.m.nodes)) else ''}lr=1, steps=1)"
        texts = [
            self.text(p, depth + 1)
            for p in pieces
            if isinstance(p, ast.JoinedStr | ast.BinOp | ast.Call | ast.Constant)
        ]
        added = "".join(self.text(p, depth + 1) for p in self.m.added(node.id, node)[:20])
        return (max(texts, key=len) if texts else "" if added else "1") + added

    def _is_namespace(self, call: ast.Call) -> bool:
        if isinstance(call.func, ast.Attribute) and call.func.attr == "parse_args":
            return True
        made = self.m.value(call.func.id, call) if isinstance(call.func, ast.Name) else None
        return isinstance(made, ast.ClassDef) and any("dataclass" in ast.unparse(d) for d in made.decorator_list)
