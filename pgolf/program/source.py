"""A program's Python source, read and never run: its variables, what it needs, and what it prints.

Whatever could not be told is a sentence in `Reading.unclear`, with file and line.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from pgolf.errors import BadInput
from pgolf.program import Need, Variable, needs, opened
from pgolf.program.cuda import needs_cuda
from pgolf.program.prints import prints
from pgolf.program.ranks import ranks_divide
from pgolf.program.sources import Sources
from pgolf.program.syntax import Module
from pgolf.program.unpacking import layers
from pgolf.program.variables import variables
from pgolf.python_source import Unreadable, parse

MOST_DEPTH = 5  # layers of a script that unpacks itself
MOST_OWN_BYTES, MOST_MODULES = 8 << 20, 200  # of all source that is read for one program


@dataclass(frozen=True)
class Reading:
    """What a program's source says of it.

    Attributes
    ----------
    variables : environment variables that it reads.
    modules : modules that it imports, which are neither Python's nor torch nor its own.
    own : the program's other files that it needs: imported modules, files that it names; also those that these need.
    commands : commands that it calls.
    reads : files that it opens by a literal name, which are not among its own and which it does not write.
    prints : the facts that its prints would state to the log reader ('step', 'final score', 'size', 'time', 'seed',
        'hyperparameters'), and the first line that states each.
    cuda : whether it needs a GPU; None: unknown. `cuda_line` is the line that says so.
    ranks_divide : the number that its ranks have to divide, else it fails; None: it says nothing of that.
    packed : how it extracts itself, as 'lzma in base 85'. Lines then count in what it extracts, whose name as a file
        is 'train_gpt.py (unpacked)'.
    unclear : what could not be told, a sentence each.
    """

    variables: dict[str, Variable]
    modules: tuple[Need, ...]
    own: tuple[str, ...]
    commands: tuple[Need, ...]
    reads: tuple[Need, ...]
    prints: dict[str, int]
    cuda: bool | None
    cuda_line: int | None
    packed: str | None
    unclear: tuple[str, ...]
    ranks_divide: int | None = None


def read_source(files: Mapping[str, bytes], script: str) -> Reading:
    """Read a script and all of its program's modules that it imports; nothing of them is run.

    Parameters
    ----------
    files : content by path, relative to the folder that the program runs in.
    script : the path of the file that is started.

    Raises
    ------
    BadInput : the script itself cannot be read.
    """
    reader = _Reader(files, script)
    reader.read()
    sources = Sources(reader.modules)
    found = variables(sources)
    cuda, line = needs_cuda(sources)
    if cuda is False and line is None and reader.unclear:
        cuda = None  # nothing speaks of a GPU in what could be read
    called, unclear = needs.commands(sources)
    return Reading(
        variables=found.variables,
        modules=needs.one_each(reader.foreign),
        own=tuple(sorted(reader.own)),
        commands=needs.one_each(called),
        reads=needs.one_each(opened.reads(sources, files, reader.folder)),
        prints=prints(sources),
        cuda=cuda,
        cuda_line=line,
        packed=", then ".join(reader.packed) or None,
        unclear=tuple(dict.fromkeys([*reader.unclear, *found.unclear, *unclear])),
        ranks_divide=ranks_divide(sources),
    )


class _Reader:
    """Goes from the script through all modules of the program that it needs."""

    def __init__(self, files: Mapping[str, bytes], script: str) -> None:
        self.files, self.script = files, script
        self.folder = str(PurePosixPath(script).parent).removeprefix(".")
        self.folders = [self.folder]  # in which Python looks for modules
        self.modules: list[Module] = []
        self.own: set[str] = set()
        self.foreign: list[Need] = []
        self.unclear: list[str] = []
        self.packed: list[str] = []  # how, from the outermost layer to the innermost
        self.bytes = 0

    def read(self) -> None:
        waiting, seen = [(self.script, True)], {self.script}
        while waiting:
            path, sure = waiting.pop(0)
            for m in self._parsed(path, sure):
                self.modules.append(m)
                for needed, needed_sure in self._needed(m):
                    if needed not in seen:
                        seen.add(needed)
                        self.own.add(needed)
                        if needed.endswith(".py"):
                            waiting.append((needed, sure and needed_sure))

    def _parsed(self, path: str, sure: bool) -> list[Module]:
        content = self.files[path]
        self.bytes += len(content)
        if path != self.script and (self.bytes > MOST_OWN_BYTES or len(self.modules) >= MOST_MODULES):
            self.unclear.append(f"{path} is not read: the program has more source than is looked at")
            return []
        try:
            return self._unpacked(Module(path, path, parse(content), path == self.script, sure), 0)
        except Unreadable as e:
            where = f"{path}:{e.line}" if e.line else path
            if path == self.script:
                raise BadInput(f"{where} {e.reason}") from None
            self.unclear.append(f"{where} {e.reason}")
            return []

    def _unpacked(self, m: Module, depth: int) -> list[Module]:
        """A module and all that it unpacks and runs."""
        found, unclear = layers(m, self.files)
        self.unclear += unclear
        modules = [m]
        for layer in found:
            if m.path == self.script and layer.how != "text" and depth == len(self.packed):
                self.packed.append(layer.how)
            if depth < MOST_DEPTH:
                label = f"{m.path} (unpacked)" + (f" {depth + 1}" if depth else "")
                modules += self._unpacked(Module(m.path, label, layer.tree, m.main, m.imported), depth + 1)
            else:
                self.unclear.append(f"{m.label}:{layer.line} unpacks more layers than are looked at")
        return modules

    def _needed(self, m: Module) -> list[tuple[str, bool]]:
        """(path, whether it is certain to be needed) of the program's files that a module needs."""
        found = []
        self.folders += [f for f in needs.search_folders(Sources([m]), m) if f not in self.folders][:20]
        for imported in needs.imports(m):
            paths = needs.own_modules(m, imported, self.files, self.folders)
            found += [(path, imported.sure) for path in paths]
            top = imported.name.partition(".")[0]
            if not paths and not imported.relative and top not in needs.PYTHONS | {"torch"}:
                self.foreign.append(Need(top, m.label, imported.line, not imported.sure))
        return found + [(path, False) for path in opened.own_files(Sources([m]), m, self.files, self.folder)]
