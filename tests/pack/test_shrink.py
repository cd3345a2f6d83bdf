"""The small program does what the readable one does."""

import ast
import subprocess
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import sentencepiece
import torch

from pgolf.pack import pack
from pgolf.pack.flatten import Part
from pgolf.pack.names import bind
from pgolf.pack.shrink import own_attributes, short_names, shrink

PROGRAMS = {
    "parameters passed by name": """
def f(first, second=2, *rest, third=3, **more):
    return first, second, rest, third, sorted(more.items())
def g(name, value):
    return f'{name}={value}'
class Base:
    def __init__(self, width, height=2):
        self.size = width, height
    def scaled(self, factor, *, offset=0):
        return [s * factor + offset for s in self.size]
    def __call__(self, depth):
        return depth
class Derived(Base): pass
def through(function):
    return function(factor=2, offset=1)
h = lambda left, right=1: (left, right)
made = Derived(height=5, width=1)
print(f(1, second=5), f(1, 2, 3, third=4, name=7), g('a', value=3))
print(through(made.scaled), made(depth=4), h(1, right=2), [lambda inner: inner][0](inner=3))
""",
    "parameters from a dict": """
from functools import partial
def f(alpha, beta):
    return alpha - beta
def call(what, options):
    return what(**options)
def g(gamma, delta):
    return gamma - delta
def later(epsilon, zeta):
    return epsilon - zeta
print(f(**{'beta': 1, 'alpha': 5}), call(g, {'delta': 1, 'gamma': 5}), partial(later, **{'zeta': 1})(5))
""",
    "scopes": """
x = 'module'
def outer(items, x='argument'):
    total, seen = 0, []
    def inner(y):
        nonlocal total
        total += y
        return [x for x in seen if (z := x) is not None] + [x]
    for item in items:
        seen.append(item)
        inner(item)
    return total, inner(0), {x: y for x, y in zip(items, items)}, (lambda x, y=x: (x, y))(1)
def setter():
    global x, fresh
    x = fresh = 'set'
class C:
    x = 'class'
    y = [x for _ in range(2)][:0] or x
    def get(self):
        return x, self.x
print(outer([1, 2]), x, C().get(), C.y)
setter()
print(x, fresh)
""",
    "statements that bind": """
import os.path, math as m
try:
    1 / 0
except ZeroDivisionError as error:
    print(type(error).__name__)
with open(os.devnull) as handle:
    print(handle.closed)
match {'kind': 'point', 'at': (1, 2), 'more': 3}:
    case {'kind': kind, 'at': (a, *b), **others}:
        print(kind, a, b, others, m.floor(2.5), os.path.basename('a/b'))
""",
    "annotations that are read": """
from dataclasses import dataclass, fields
from typing import NamedTuple
@dataclass
class Config:
    steps: int = 3
    rate: float = 0.5
class Point(NamedTuple):
    x: int
    y: int = 2
def registered(function):
    return sorted(function.__annotations__), function.__code__.co_varnames[:2]
@registered
def kernel(width: int, height: float):
    return width
def plain(width: int) -> int:
    total: int = width
    unused: str
    return total
print([(f.name, f.type is int) for f in fields(Config)], Point(1), kernel, plain(4))
""",
    "its own names": """
value = 3
def f(x):
    return sorted(k for k in vars() if k != 'k')
print(globals()['value'], f(1))
""",
    "text in many quotes": """
name, d = 'n', {'a': 1, "it's": 2}
print(f"{d['a']} {name!r:>5} {'nested ' + f'{name}'} {{}} \\t", 'a"b', "a'b", '''"'"' ''', f'{d["a"]:{4}.{2}f}')
""",
    "errors keep their class's name": """
class OutOfClock(Exception):
    '''why'''
def f(seconds):
    if seconds > 600: raise OutOfClock(f'{seconds} s')
try: f(601)
except OutOfClock as e: print(type(e).__name__, e)
""",
    "unused definitions with effects": """
def loud(x):
    print('called')
    return x
value = loud(1)
@loud
def decorated(): pass
def default(x=loud(2)): pass
class Registered(metaclass=type('M', (type,), {'__init__': lambda *a: print('made')})): pass
""",
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_packed_and_unpacked_print_the_same(tmp_path, name):
    source, target = tmp_path / "source.py", tmp_path / "packed.py"
    source.write_text(PROGRAMS[name])
    target.write_bytes(pack(source=source).code)
    plain, packed = (
        subprocess.run([sys.executable, "-W", "error", path], capture_output=True, text=True)
        for path in (source, target)
    )
    assert plain.returncode == 0, plain.stderr
    assert (packed.stdout, packed.stderr) == (plain.stdout, "")


def test_what_nothing_mentions_is_left_out(tmp_path):
    source = tmp_path / "source.py"
    source.write_text(
        '"""Docstring."""\nfrom collections.abc import Iterator\nimport json\nKnob = int | str  # comment\n'
        "def unused(n):\n    return unused(n - 1) + only_here()\ndef only_here() -> Iterator:\n    '''Doc.'''\n"
        "def used(): return 1\nprint(used())\n"
    )
    assert pack(source=source).minified == "def a():return 1\nprint(a())\n"


OWN = """
import time
from torch import nn
class Clock:
    LIMIT = 7
    def __init__(self):
        self.begun, self.label, self.perf_counter, self.asked = 1, 'label', 2, 3
    def elapsed_since(self): return self.begun + self.LIMIT + self.asked
class Head(nn.Module):
    def __init__(self):
        super().__init__()
        self.weighting = nn.Parameter(nn.init.ones_(nn.Parameter(nn.Linear(1, 1).weight)))
        self.asked = 4
clock = Clock()
clock.begun += 1
print(clock.elapsed_since(), time.perf_counter() > 0, clock.label, [*Head().state_dict()], hasattr(Head(), 'asked'))
"""


def test_attributes_are_shortened_where_no_other_object_has_them(capsys):
    tree = ast.parse(OWN)
    assert own_attributes(bind(ast.parse(OWN))) == ["begun", "elapsed_since"]
    parts = [Part("imports", tree.body[:2]), Part("main", tree.body[2:])]
    small = "\n".join(text for _, text in short_names(shrink(parts), own="abc"))
    exec(compile(OWN, "plain", "exec"), {})
    exec(compile(small, "small", "exec"), {})
    plain, shrunk = capsys.readouterr().out.splitlines()
    assert plain == shrunk and "elapsed_since" not in small


HIDING = """
def of_the_module(f): return f
def other(f): return f
class Clock:
    def __init__(self): self.begun = 1
    def elapsed_since(self): return self.begun
    @of_the_module
    def paused_for(self): return self.elapsed_since() + other(2)
    begun_later = [of_the_module(3), other(4)]
print(Clock().paused_for(), Clock.begun_later, of_the_module(other(5)))
"""


@pytest.mark.parametrize("letters", ["abcd", "dcba", "bdac", "cadb", "eabcd"])
def test_a_method_does_not_hide_what_its_class_calls(letters, capsys):
    """The body of a class sees its methods before the module's names."""
    small = "\n".join(text for _, text in short_names([Part("main", ast.parse(HIDING).body)], own=letters))
    exec(compile(small, "small", "exec"), {})
    assert capsys.readouterr().out == "3 [3, 4] 5\n"


def test_no_object_of_a_library_has_an_attribute_that_is_shortened():
    """All of the trainer's, whether a preset uses them or not; what is missing belongs into NAMES_OF_LIBRARIES."""
    folder = Path(__file__).parents[2] / "pgolf/trainer"
    statements = [s for path in sorted(folder.glob("*.py")) for s in ast.parse(path.read_text()).body]
    own = set(own_attributes(bind(ast.Module(statements, []))))
    assert len(own) > 30
    libraries = (torch.Tensor, torch.nn.Module, torch.optim.Optimizer, torch.autograd.Function, torch.cuda.Event)
    libraries += (torch.device, np.ndarray, np.random.Generator, sentencepiece.SentencePieceProcessor)
    for kind in (*libraries, ThreadPoolExecutor, Future, Path):
        assert not own & set(dir(kind)), kind
