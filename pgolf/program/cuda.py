"""Whether a source needs a GPU, where that is certain."""

import ast
from collections.abc import Iterator, Sequence

from pgolf.program.needs import imports
from pgolf.program.sources import Sources
from pgolf.program.syntax import Module

KERNELS = ("flash_attn_interface", "flash_attn", "triton", "flash_attn_3", "liger_kernel", "transformer_engine", "cupy")
AVAILABLE = ("torch.cuda.is_available", "torch.cuda.device_count")
FAILS = ("torch.cuda.set_device", "torch.cuda.get_device_name", "torch.cuda.get_device_properties")
ELSEWHERE = ("jax", "mlx", "tensorflow", "tinygrad")  # what runs on other machines than this asks about


def needs_cuda(sources: Sources) -> tuple[bool | None, int | None]:
    """(whether it needs a GPU, the line that says so); None where it is not clear."""
    for m in sources.modules:
        for imported in imports(m):
            if imported.sure and imported.name.partition(".")[0] in KERNELS:
                return True, imported.line
        for node, sure in m.sure.items():
            refuses = isinstance(node, ast.If | ast.Assert) and _refuses(m, node)
            if refuses and (sure or not _conditional(m, node)):
                return True, node.lineno  # type: ignore[attr-defined]
    cpu = next(((m, node) for m in sources.modules for node in m.nodes if _runs_on_cpu(sources, m, node)), None)
    if cpu:
        return False, getattr(cpu[1], "lineno", None)
    for m in sources.modules:
        for node, sure in m.sure.items():
            if sure and isinstance(node, ast.Call) and (m.full_name(node.func) in FAILS or _nccl(m, node)):
                return True, node.lineno
    if all(not _mentions(m) for m in sources.modules) and _imports(sources.modules, "torch"):
        return False, None
    return None, None


def _imports(modules: Sequence[Module], name: str) -> bool:
    tops = {i.name.partition(".")[0] for m in modules for i in imports(m)}
    return name in tops and not tops & {*ELSEWHERE, *KERNELS}


def _refuses(m: Module, node: ast.If | ast.Assert) -> bool:
    """`if not torch.cuda.is_available(): raise …`, or the same as an assertion."""
    tests = node.test.values if isinstance(node.test, ast.BoolOp) else [node.test]
    either = not isinstance(node.test, ast.BoolOp) or isinstance(node.test.op, ast.Or)
    if isinstance(node, ast.Assert):
        return any(_asks(m, test) for test in tests) and (len(tests) == 1 or not either)
    return either and any(_says_none(m, test) for test in tests) and any(_ends(s) for s in node.body)


def _says_none(m: Module, test: ast.expr) -> bool:
    """Whether a condition holds without a GPU: `not torch.cuda.is_available()`, `torch.cuda.device_count() == 0`."""
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        return _asks(m, test.operand)
    return isinstance(test, ast.Compare) and ast.unparse(test.comparators[0]) in ("0", "1", "False") and _asks(m, test)


def _asks(m: Module, node: ast.AST) -> bool:
    return any(isinstance(n, ast.Call) and m.full_name(n.func) in AVAILABLE for n in ast.walk(node))


def _ends(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.Raise):
        return True
    call = statement.value if isinstance(statement, ast.Expr) else None
    return isinstance(call, ast.Call) and ast.unparse(call.func) in ("sys.exit", "exit", "quit", "os._exit")


def _conditional(m: Module, node: ast.AST) -> bool:
    """Whether a node lies in an `if` or a `try`; being in a function does not make it conditional."""
    return m.inside(node, (ast.If, ast.Try, ast.IfExp, ast.match_case)) is not None


def _runs_on_cpu(sources: Sources, m: Module, node: ast.AST) -> bool:
    """Clear code for a machine without a GPU."""
    if isinstance(node, ast.Constant):
        call = m.inside(node, ast.Call)
        second = isinstance(call, ast.Call) and m.full_name(call.func).endswith("new_group")
        used = not isinstance(m.parents.get(node), ast.Expr | ast.Compare) and not second
        return node.value in ("gloo", "cpu:gloo,cuda:nccl") and used
    if isinstance(node, ast.IfExp | ast.If) and _asks(m, node.test):
        branches = [node.body, node.orelse] if isinstance(node, ast.IfExp) else [*node.body, *node.orelse]
        return any(_is_cpu(n) for branch in branches for n in ast.walk(branch))
    if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        named = any(ast.unparse(t).rpartition(".")[2].lower() in ("device", "dev") for t in targets)
        return named and (_is_cpu(node.value) or sources.known(m, node.value) == "cpu")
    return False


def _is_cpu(node: ast.AST) -> bool:
    if isinstance(node, ast.Call) and ast.unparse(node.func) in ("torch.device", "device") and node.args:
        node = node.args[0]
    return isinstance(node, ast.Constant) and node.value == "cpu"


def _nccl(m: Module, node: ast.Call) -> bool:
    if m.full_name(node.func).rpartition(".")[2] != "init_process_group":
        return False
    given = [*node.args[:1], *(k.value for k in node.keywords if k.arg == "backend")]
    return any(isinstance(n, ast.Constant) and n.value == "nccl" for n in given)


def _mentions(m: Module) -> bool:
    """Whether a source has any word that has to do with a GPU."""
    return any(word in text.lower() for text in _words(m) for word in ("cuda", "nccl", "gpu", "triton", ".cu"))


def _words(m: Module) -> Iterator[str]:
    for node in m.nodes:
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.keyword):
            yield node.arg or ""
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and len(node.value) < 1000:
            yield node.value
