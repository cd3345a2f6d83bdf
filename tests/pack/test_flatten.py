"""Several modules as one: names, imports and order survive; what cannot be one file is refused by file and line."""

import subprocess
import sys

import pytest

from pgolf.errors import BadInput
from pgolf.pack import pack


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
        ("m = __import__('math')\n", 1, "__import__"),
        ("\nexec('import math')\n", 2, "exec"),
        ("import sys\nsys.path.append('.')\n", 2, "sys.path"),
        ("from pathlib import Path\nx = (Path(__file__).parent / 'a.txt').read_text()\n", 2, "__file__"),
        ("import flash_attn_interface\n", 1, "try"),
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


@pytest.mark.parametrize(
    ("modules", "reason"),
    [
        ({"main": "import a\n", "a": "import b\n", "b": "import a\n"}, "a → b → a"),
        ({"main": "from a import missing\n", "a": ""}, "defines no 'missing'"),
        ({"main": "import a\nprint(a)\n", "a": "x = 1\n"}, "main.py:2: module a is used as a value"),
        ({"main": "def f():\n    from a import x\n    x = 2\n", "a": "x = 1\n"}, "main.py:2"),
        ({"main": "from a import x\nx = 2\n", "a": "x = 1\n"}, "bound again"),
        ({"main": "import a\nprint(globals())\n", "a": "x = 1\n"}, "main.py:2: globals()"),
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
