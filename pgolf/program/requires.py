"""What a program needs beside Python and torch, and the packages that bring it."""

from collections.abc import Iterable, Mapping

from pgolf.program import Need, Requires
from pgolf.program.settings import NAME, Required

# The package that brings a module, where pip may install it; those that must be built for a GPU are not among them.
OF_ONE_NAME = (
    "numpy sentencepiece brotli zstandard tqdm tiktoken constriction einops scipy psutil requests pandas pyarrow "
    "datasets tokenizers transformers safetensors packaging matplotlib lz4 regex rich numba"
)
PACKAGES = {
    **{name: name for name in OF_ONE_NAME.split()},
    "huggingface_hub": "huggingface-hub",
    "python_minifier": "python-minifier",
    "yaml": "pyyaml",
    "sklearn": "scikit-learn",
    "PIL": "pillow",
    "google": "protobuf",
}
FILES = ("requirements.txt", "setup.sh")


def required(
    modules: Iterable[Need], commands: Iterable[Need], cuda: bool | None, wishes: Required, files: Mapping[str, bytes]
) -> Requires:
    """All that a program needs, by its source, its program.toml and the files beside it; `setup` is not looked at."""
    by_name = {need.name: need for need in modules}
    for name in wishes.modules:
        if name not in by_name or by_name[name].optional:
            by_name[name] = Need(name, NAME, 0)
    of_path = {need.name: need for need in commands}
    for name in wishes.commands:
        of_path[name] = Need(name, NAME, 0)
    needed = [need.name.partition(".")[0] for need in by_name.values() if not need.optional]
    packages = [PACKAGES[name] for name in needed if name in PACKAGES]
    return Requires(
        modules=tuple(by_name.values()),
        commands=tuple(of_path.values()),
        packages=tuple(dict.fromkeys([*packages, *wishes.packages])),
        requirements=FILES[0] if FILES[0] in files else None,
        setup=FILES[1] if FILES[1] in files else None,
        cuda=cuda if wishes.cuda is None else wishes.cuda,
    )
