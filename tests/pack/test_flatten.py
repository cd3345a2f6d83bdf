"""Several modules as one: names, imports and order survive; what cannot be one file is refused by file and line."""

import ast
import subprocess
import sys

import pytest

from pgolf.errors import BadInput
from pgolf.pack import pack
from pgolf.pack.wrapper import unwrap


def run(path, *args):
    return subprocess.run(
        [sys.executable, "-P", str(path), *args], capture_output=True, text=True, check=True, cwd=path.parent
    ).stdout


def write(folder, **modules):
    for name, text in modules.items():
        (folder / f"{name}.py").write_text(text)
    return [folder / f"{name}.py" for name in modules]


def packed_output(tmp_path, main, *others):
    """What the packed program prints, in a folder where its modules are not."""
    target = tmp_path / "elsewhere" / "packed.py"
    target.parent.mkdir()
    target.write_bytes(pack(source=main, extra=others).code)
    return run(target)


def test_equal_names_of_different_modules_stay_apart(tmp_path):
    main, *others = write(
        tmp_path,
        main="import one\nfrom two import MAGIC as second, both as shout\nfrom one import len\n"
        "MAGIC = 'main'\nprint(MAGIC, one.MAGIC, one.say(), second, shout('x'), len('abc'))\n",
        one="import math\nMAGIC = 'one'\ndef say():\n    MAGIC_two = 1\n    return MAGIC, math.floor(2.5), len('ab')\n"
        "def len(x):\n    return f'len of {x}'\n",
        two="import math as m\nfrom one import say\nMAGIC = 'two'\n"
        "def both(math):\n    return math, say(), m.ceil(2.5), len('abcd')\n",
    )
    assert (
        packed_output(tmp_path, main, *others)
        == subprocess.run([sys.executable, str(main)], capture_output=True, text=True, check=True).stdout
    )


def test_modules_run_in_the_order_of_their_imports_and_only_the_main_one_starts(tmp_path):
    main, *others = write(
        tmp_path,
        main="import late\nprint('main', __name__)\nif __name__ == '__main__':\n    print('started')\n",
        late="import early\nprint('late')\nif __name__ == '__main__':\n    print('never')\n",
        early="print('early')\n",
    )
    assert packed_output(tmp_path, main, *others).split() == ["early", "late", "main", "__main__", "started"]


def test_a_name_imported_through_another_module_is_found(tmp_path):
    main, *others = write(
        tmp_path,
        main="from middle import value, Path\nprint(value, Path('a').name)\n",
        middle="from base import value\nfrom pathlib import Path\n",
        base="value = 7\n",
    )
    assert packed_output(tmp_path, main, *others) == "7 a\n"


def test_what_lists_the_fields_of_one_object_sees_no_names_of_the_module(tmp_path):
    main, *others = write(
        tmp_path,
        main="from settings import Settings\ndef show(them):\n    print(sorted(vars(them)))\nshow(Settings(2))\n",
        settings="class Settings:\n    def __init__(self, depth):\n        self.depth = depth\n",
    )
    assert packed_output(tmp_path, main, *others) == "['depth']\n"


def test_modules_imported_where_they_are_used(tmp_path):
    main, *others = write(
        tmp_path,
        main="def f(n):\n    if n:\n        import late\n    return late.count(n)\n"
        "def g():\n    from late import count as c, LIMIT\n    return c(LIMIT)\nprint(f(2), g())\n",
        late="LIMIT = 3\ndef count(n):\n    return list(range(n))\n",
    )
    assert packed_output(tmp_path, main, *others) == "[0, 1] [0, 1, 2]\n"


def test_a_module_imported_in_a_function_may_import_its_importer(tmp_path):
    main, *others = write(
        tmp_path,
        main="from base import Base\nif __name__ == '__main__':\n    print(Base().half(6))\n",
        base="class Base:\n    def half(self, n):\n        from child import Child\n        return Child().half(n)\n",
        child="from base import Base\nclass Child(Base):\n    def half(self, n):\n        return n // 2\n",
    )
    assert packed_output(tmp_path, main, *others) == "3\n"


def test_an_extra_module_may_replace_a_definition(tmp_path):
    main, helper, idea = write(
        tmp_path,
        main="from helper import answer\ndef main():\n    print(answer(), twice(4))\n"
        "def twice(x):\n    return 2 * x\nif __name__ == '__main__':\n    main()\n",
        helper="def answer():\n    return 'theirs'\n",
        idea="import helper\nfrom main import twice\nimport main\nold = helper.answer\n"
        "def mine():\n    return 'not ' + old()\nhelper.answer = mine\nmain.twice = lambda x: 3 * x\n",
    )
    assert packed_output(tmp_path, main, helper, idea) == "not theirs 12\n"


def test_an_extra_module_changes_the_trainer(tmp_path):
    (idea,) = write(
        tmp_path,
        idea="from pgolf.trainer import optim\nfrom pgolf.trainer.config import Config\n"
        "def steady(cfg: Config, frac: float) -> float:\n    return 0.125\noptim.lr_multiplier = steady\n",
    )
    packed = pack(extra=[idea])
    assert "idea" in packed.bytes_by_module
    scope = {"__name__": "not main"}
    exec(packed.readable, scope)
    assert scope["lr_multiplier"](None, 0.5) == 0.125


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("x = 1\ndef f(:\n", 2, "syntax"),
        ("import torch\nimport pandas\n", 2, "'pandas'"),
        ("from torch import *\n", 1, "import *"),
        ("import os\nimport importlib.resources\n", 2, "importlib"),
        ("m = __import__('maths')\n", 1, "__import__"),
        ("\nexec('import math')\n", 2, "--allow exec"),
        ("import sys\nsys.path.append('.')\n", 2, "sys.path"),
        ("from pathlib import Path\nx = (Path(__file__).parent / 'a.txt').read_text()\n", 2, "__file__"),
        ("import zstandard\n", 1, "--allow zstandard"),
        ("try:\n    x = 1\nexcept ImportError:\n    import zstandard\n", 4, "--allow zstandard"),
        ("try:\n    import zstandard\nexcept ValueError:\n    pass\n", 2, "--allow zstandard"),
        ("from . import missing\n", 1, "missing"),
        ("def f():\n    import constriction\nimport constriction\n", 3, "constriction"),
    ],
)
def test_what_cannot_be_packed_is_refused(tmp_path, text, line, reason):
    (main,) = write(tmp_path, main=text)
    with pytest.raises(BadInput) as e:
        pack(source=main)
    message = str(e.value)
    assert message.startswith(f"{main}:{line}: ") and reason in message


def test_what_may_be_missing_is_allowed_where_it_can_be(tmp_path):
    (main,) = write(
        tmp_path,
        main="try:\n    import flash_attn_interface\nexcept ImportError:\n    flash_attn_interface = None\n"
        "def f():\n    import constriction\n    return constriction\nprint(flash_attn_interface)\n",
    )
    assert packed_output(tmp_path, main) in ("None\n", "<module 'flash_attn_interface'>\n")


def test_the_trainer_of_pgolf_itself_may_need_nothing_of_the_image(tmp_path):
    (idea,) = write(tmp_path, idea="import flash_attn_interface\n")
    with pytest.raises(BadInput, match=r"idea\.py:1: flash_attn_interface may be missing"):
        pack(extra=[idea])


def test_a_source_may_import_what_the_contests_image_has_and_what_is_allowed(tmp_path):
    (main,) = write(
        tmp_path,
        main="from flash_attn_interface import flash_attn_func as attention\nimport triton.language as tl\n"
        "import zstandard\nprint(attention, tl, zstandard)\n",
    )
    code = pack(source=main, allow=["zstandard"]).code
    imported = [n for n in ast.walk(ast.parse(unwrap(code)[1])) if isinstance(n, ast.Import | ast.ImportFrom)]
    text = " ".join(map(ast.unparse, imported))
    assert "from flash_attn_interface import flash_attn_func" in text and "zstandard" in text


def test_a_package_in_a_try_needs_no_leave(tmp_path):
    (main,) = write(
        tmp_path,
        main="try:\n    import nobody_has_this as best\n    name = 'best'\nexcept (ImportError, OSError):\n"
        "    name = __import__('zlib').__name__\nprint(name)\n",
    )
    assert packed_output(tmp_path, main) == "zlib\n"


def test_code_that_packing_cannot_see_finds_its_names(tmp_path):
    (main,) = write(
        tmp_path,
        main="import importlib\nimport os\nimport sys\nsys.path.insert(0, os.path.dirname(__file__))\n"
        "long_name = 3\ndef unused_function():\n    return importlib.import_module('math').floor(4.5)\n"
        "exec('print(long_name, unused_function())')\n",
    )
    allow = ["exec", "importlib", "sys.path", "__file__"]
    target = tmp_path / "packed.py"
    target.write_bytes(pack(source=main, allow=allow).code)
    assert run(target) == "3 4\n"
    (tmp_path / "helper.py").write_text("x = 1\n")
    main.write_text("import helper\n" + main.read_text())
    with pytest.raises(BadInput, match=r"main\.py:9: exec\(\) sees the names of one module"):
        pack(source=main, extra=[tmp_path / "helper.py"], allow=allow)
    for name in allow:
        with pytest.raises(BadInput, match=f"--allow {name} packs it all the same"):
            pack(source=main, allow=set(allow) - {name})


def test_what_tritons_compiler_reads_stays(tmp_path):
    (main,) = write(
        tmp_path,
        main="import triton\nimport triton.language as tl\nBLOCK: tl.constexpr = 128\ncount: int = 2\n"
        "@triton.jit\ndef kernel(x, SIZE: tl.constexpr):\n    half: tl.constexpr = SIZE // 2\n    return x + half\n"
        "print(kernel, BLOCK, count)\n",
    )
    source = unwrap(pack(source=main).code)[1]
    assert source.count("constexpr") == 3 and ":int" not in source


@pytest.mark.parametrize(
    ("modules", "reason"),
    [
        ({"main": "import a\n", "a": "import b\n", "b": "import a\n"}, "a → b → a"),
        ({"main": "from a import missing\n", "a": ""}, "defines no 'missing'"),
        ({"main": "import a\nprint(a)\n", "a": "x = 1\n"}, "main.py:2: module a is used as a value"),
        ({"main": "def f():\n    from a import x\n    x = 2\n", "a": "x = 1\n"}, "main.py:2"),
        ({"main": "from a import x\nx = 2\n", "a": "x = 1\n"}, "bound again"),
        ({"main": "import a\nprint(globals())\n", "a": "x = 1\n"}, "main.py:2: globals()"),
        ({"main": "import a\nimport timeit\n", "a": "x = 1\n"}, "main.py:2: timeit"),
        ({"main": "from __future__ import annotations\nimport a\n", "a": "x = 1\n"}, "a.py"),
        ({"main": "import a\ndef f(x):\n    return a.x\n", "a": "x = 1\n"}, "main.py:3: 'a.x' becomes 'x'"),
        ({"main": "from a import x as y\ndef f(x):\n    return x + y\n", "a": "x = 1\n"}, "a local name hides"),
    ],
)
def test_modules_that_do_not_fit_together_are_refused(tmp_path, modules, reason):
    main, *others = write(tmp_path, **modules)
    with pytest.raises(BadInput) as e:
        pack(source=main, extra=others)
    assert reason in str(e.value)


def test_a_helper_beside_the_source_is_named(tmp_path):
    main, helper = write(tmp_path, main="import helper\n", helper="")
    with pytest.raises(BadInput, match="add its file as an extra"):
        pack(source=main)
    with pytest.raises(BadInput, match="both 'helper'"):
        pack(source=main, extra=[helper, helper])
