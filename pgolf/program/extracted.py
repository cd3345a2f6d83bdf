"""The source that a script extracts and runs, for people to read: decoded, and never run."""

import ast
from pathlib import Path

from pgolf.errors import BadInput
from pgolf.evidence.wrapped import unwrapped
from pgolf.program.find import SCRIPT
from pgolf.program.folder import Folder
from pgolf.program.syntax import Module
from pgolf.program.unpacking import Layer, layers
from pgolf.python_source import MOST_BYTES, Unreadable, parse, text_of
from pgolf.untrusted import Untrusted, read_bytes

MOST_LAYERS = 8  # of one script, inside one another or beside one another
LONGEST_NAME = 255  # characters of a name of a file that a script may open
GUESSED = "decoded from a string, whose use could not be followed"


def check_script(path: Path) -> None:
    """BadInput if `path` is a folder; it names the script in there, if there is one."""
    if not path.is_dir():
        return
    folder = Folder(path)
    scripts = [SCRIPT] if folder.has(SCRIPT) else [name for name in folder.top() if name.endswith(".py")]
    said = (
        f"give {path / scripts[0]}" if len(scripts) == 1 else "give the one to unpack" if scripts else "none is in it"
    )
    raise BadInput(f"{path}: a folder, and a script is wanted: {said}")


def extracted(path: Path) -> str:
    """The source that the script at `path` extracts, each layer below a comment that says how it is packed.

    A layer is written as the script holds it if every character of it prints; else without its comments, and with
    escapes for what does not print. A layer that is in another comes after it.

    Raises
    ------
    BadInput : the file cannot be read within bounds, is no Python, or extracts nothing that can be followed.
    """
    content = read_bytes(path, MOST_BYTES)
    try:
        tree = parse(content)
    except Unreadable as e:
        raise BadInput(f"{path}{f':{e.line}' if e.line else ''}: {e.reason}") from None
    name = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in path.name)
    found, unclear = _all_layers(Module(path.name, name, tree, main=True), _opened(path, content, tree))
    found = found or [(name, layer) for layer in _in_strings(content)]
    if not found:
        raise BadInput(f"{path}: extracts nothing that can be read" + "".join(f"; {sentence}" for sentence in unclear))
    notes = "".join(f"# {sentence}\n" for sentence in unclear)
    return notes + "\n".join(f"# {holder}:{layer.line}: {layer.how}\n{_shown(layer)}" for holder, layer in found)


def _opened(path: Path, content: bytes, tree: ast.Module) -> dict[str, bytes]:
    """The script, and the files beside it that it names as a text: it may keep there what it extracts."""
    folder, files = Folder(path.parent), {path.name: content}
    names = {n.value for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, str)}
    for name in sorted(name for name in names if len(name) <= LONGEST_NAME and "/" not in name):
        if name not in files and len(files) <= MOST_LAYERS and folder.has(name):
            try:
                files[name] = read_bytes(folder.root / name, MOST_BYTES, folder.root)
            except Untrusted:
                continue  # whatever it is, the script does not get its code from there
    return files


def _all_layers(m: Module, files: dict[str, bytes]) -> tuple[list[tuple[str, Layer]], list[str]]:
    """(name of what holds it, layer) of all that a module extracts, also inside one another; and what is unclear."""
    found: list[tuple[str, Layer]] = []
    unclear: list[str] = []
    waiting = [m]
    while waiting:
        holder = waiting.pop(0)
        of_holder, sentences = layers(holder, files)
        unclear += sentences
        for layer in of_holder[: MOST_LAYERS - len(found)]:
            found.append((holder.label, layer))
            waiting.append(Module(m.path, f"{m.label} (unpacked)", layer.tree, main=True))
    return found, unclear


def _in_strings(content: bytes) -> list[Layer]:
    """Python that long strings of a script decode to, whatever the script makes of them."""
    found = []
    for code in unwrapped(content)[:MOST_LAYERS]:
        try:
            found.append(Layer(parse(code), GUESSED, 1, code))
        except Unreadable:
            continue
    return found


def _shown(layer: Layer) -> str:
    text = text_of(layer.code)
    if all(c.isprintable() or c in "\n\t" for c in text):
        return text.rstrip("\n") + "\n"
    return ast.unparse(layer.tree) + "\n"
