"""runpod/bootstrap.sh on this machine, the NVIDIA driver's part played by an nvidia-smi on PATH."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch

from pgolf.pods import Kind
from pgolf.pods.bootstrap import kind_of

SCRIPT = Path(__file__).parents[2] / "runpod/bootstrap.sh"
H100 = "NVIDIA H100 80GB HBM3"


def bootstrap(
    tmp_path: Path, gpus: list[str], ecc: str = "0", answers: bool = True, **settings: str
) -> tuple[int, str]:
    """Exit code and last line on a machine with these GPUs."""
    smi = tmp_path / "bin/nvidia-smi"
    smi.parent.mkdir(exist_ok=True)
    names, errors = "\\n".join(gpus), "\\n".join([ecc] * len(gpus))
    smi.write_text(
        "#!/bin/sh\n"
        + ("" if answers else "echo 'Failed to initialize NVML: Driver/library version mismatch'; exit 18\n")
        + f"case \"$1\" in *=name) printf '{names}\\n';; *=driver*) echo 570.00;; *=ecc*) printf '{errors}\\n';; esac\n"
    )
    smi.chmod(0o755)
    asked = {"PYTHON": sys.executable, "GPUS": "2", "GPU_TYPES": H100, "MIN_FREE_GB": "0.01", "MIN_DISK_MB_S": "0.1"}
    asked |= {"MIN_TORCH": "2.6", "CUDA": "0", "PACKAGES": "numpy brotli"}
    asked |= {"PROGRAM": "setup/1", "SETUP": "", "REQUIREMENTS": "", "SETUP_S": "60", "MODULES": "", "COMMANDS": ""}
    env = {"PATH": f"{smi.parent}:{os.environ['PATH']}", **asked, **settings}
    done = subprocess.run(["bash", SCRIPT], cwd=tmp_path, env=env, capture_output=True, text=True)
    lines = done.stdout.splitlines() or done.stderr.splitlines()
    assert not list(tmp_path.glob(".disk.*"))
    return done.returncode, lines[-1]


def test_machine_as_it_was_paid_for_is_described(tmp_path: Path) -> None:
    code, said = bootstrap(tmp_path, [H100, "NVIDIA H200"], GPU_TYPES=f"{H100}|NVIDIA H200")
    assert code == 0, said
    facts = json.loads(said)
    assert (facts["driver"], facts["torch"]) == ("570.00", torch.__version__)


@pytest.mark.parametrize(
    ("gpus", "more", "said"),
    [
        ([H100], {}, "1 GPUs, 2 were paid for"),
        ([H100] * 3, {}, "3 GPUs, 2 were paid for"),
        ([H100, "NVIDIA H100 PCIe"], {}, f"a GPU is 'NVIDIA H100 PCIe', not {H100}"),
        ([H100, "NVIDIA L4"], {"GPU_TYPES": f"{H100}|NVIDIA H200"}, f"not {H100} or NVIDIA H200"),
        ([H100, H100], {"ecc": "3"}, "2 GPUs have uncorrected memory errors"),
        ([H100, H100], {"answers": False}, "does not answer: Failed to initialize NVML"),
    ],
    ids=("too few", "too many", "another", "none of the list", "memory errors", "no answer"),
)
def test_machine_that_is_not_what_was_paid_for(tmp_path: Path, gpus: list[str], more: dict, said: str) -> None:
    code, last = bootstrap(tmp_path, gpus, **more)
    assert code == 1
    assert last.startswith("unfit: ")
    assert said in last
    assert kind_of(f"pod-1: {last} / a line of stderr") == Kind.GPUS


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_gpus_that_torch_cannot_see_are_none(tmp_path: Path) -> None:
    code, said = bootstrap(tmp_path, [H100, H100], CUDA="1")
    assert (code, said) == (1, "unfit: torch sees 0 GPUs of 2 [gpus]")


def wheel(folder: Path, name: str) -> None:
    """A wheel of one empty module."""
    facts = f"{name}-1.5.dist-info"
    with zipfile.ZipFile(folder / f"{name}-1.5-py3-none-any.whl", "w") as f:
        f.writestr(f"{name}.py", "")
        f.writestr(f"{facts}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.5\n")
        f.writestr(f"{facts}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        f.writestr(f"{facts}/RECORD", "")


def test_package_that_is_missing_is_installed_once(tmp_path: Path) -> None:
    wheel(tmp_path, "coder_of_a_test")
    there = tmp_path / "site"
    pip = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path), "PIP_TARGET": str(there), "PYTHONPATH": str(there)}
    for packages in ("numpy coder_of_a_test>=1,<2", "coder_of_a_test"):
        code, said = bootstrap(tmp_path, [H100, H100], PACKAGES=packages, **pip)
        assert code == 0, said
        assert (there / "coder_of_a_test.py").exists()
        (tmp_path / "coder_of_a_test-1.5-py3-none-any.whl").unlink(missing_ok=True)  # nothing to install it from again


def test_package_that_cannot_be_installed_makes_a_machine_unfit(tmp_path: Path) -> None:
    code, said = bootstrap(tmp_path, [H100, H100], PACKAGES="numpy coder_of_a_test>=1,<2", PIP_NO_INDEX="1")
    assert (code, said) == (1, "unfit: cannot install coder_of_a_test>=1,<2 [packages]")


def program(tmp_path: Path, **files: str) -> Path:
    """The folder of a program's files for its setup."""
    folder = tmp_path / "setup/1"
    folder.mkdir(parents=True)
    for name, text in files.items():
        (folder / name.replace("_", ".")).write_text(text)
    return folder


def test_setup_of_a_program_runs_once_without_secrets(tmp_path: Path) -> None:
    setup = "env >seen\necho x >>ran\nsleep 300 &\necho $! >child\n"
    folder = program(tmp_path, setup_sh=setup)
    for _ in range(2):  # what it leaves running holds nothing up
        code, said = bootstrap(tmp_path, [H100, H100], SETUP="setup.sh", HF_TOKEN="hush", RUNPOD_API_KEY="hush")
        assert code == 0, said
    os.kill(int((folder / "child").read_text()), 9)
    assert (folder / "ran").read_text() == "x\n"
    assert "hush" not in (folder / "seen").read_text()


@pytest.mark.parametrize(
    ("script", "seconds", "said"),
    [
        ("echo no compiler here; exit 3", "60", "setup.sh: exit code 3: no compiler here"),
        ("echo waiting; sleep 300", "1", "setup.sh did not end in 1 s: waiting"),
        ("printf 'a\\033[2Jb\\n'; exit 1", "60", "setup.sh: exit code 1: a[2Jb"),
    ],
    ids=("fails", "never ends", "control characters"),
)
def test_setup_that_fails_makes_a_machine_unfit_and_runs_again(
    tmp_path: Path, script: str, seconds: str, said: str
) -> None:
    folder = program(tmp_path, setup_sh=script)
    assert bootstrap(tmp_path, [H100] * 2, SETUP="setup.sh", SETUP_S=seconds) == (1, f"unfit: {said} [setup]")
    (folder / "setup.sh").write_text("touch again")
    code, last = bootstrap(tmp_path, [H100] * 2, SETUP="setup.sh", SETUP_S=seconds)
    assert code == 0, last
    assert (folder / "again").exists()


def test_requirements_of_a_program_are_installed_where_one_is_missing(tmp_path: Path) -> None:
    folder, there = program(tmp_path), tmp_path / "site"
    (folder / "requirements.txt").write_text(
        "# what it needs\n\ncoder_of_a_test==1.5  # small\nno_such_module; python_version < '3'\n"
    )
    wheel(tmp_path, "coder_of_a_test")
    pip = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path), "PIP_TARGET": str(there), "PYTHONPATH": str(there)}
    for _ in range(2):
        code, said = bootstrap(
            tmp_path, [H100] * 2, REQUIREMENTS="requirements.txt", MODULES="coder_of_a_test json", COMMANDS="sh", **pip
        )
        assert code == 0, said
        (tmp_path / "coder_of_a_test-1.5-py3-none-any.whl").unlink(missing_ok=True)
        (folder.parent / "1.pip.log").unlink(missing_ok=True)
    assert not (folder.parent / "1.pip.log").exists()
    (folder / "requirements.txt").write_text("coder_of_a_test>=2")
    code, said = bootstrap(tmp_path, [H100] * 2, REQUIREMENTS="requirements.txt", **pip)
    assert code == 1
    assert said.startswith("unfit: cannot install requirements.txt: ")
    assert "coder_of_a_test>=2" in said


def test_modules_and_commands_that_a_program_lacks_are_all_named(tmp_path: Path) -> None:
    (tmp_path / "local_only.py").touch()
    (tmp_path / "site").mkdir()
    (tmp_path / "site/other_torch.py").write_text("raise ImportError('undefined symbol: _ZN3c10')")
    code, said = bootstrap(
        tmp_path,
        [H100] * 2,
        MODULES="json flash_attn_interface local_only other_torch",
        COMMANDS="sh lrzip-of-a-test",
        PYTHONPATH=str(tmp_path / "site"),
    )
    assert code == 1
    assert "flash_attn_interface (ModuleNotFoundError: No module named 'flash_attn_interface')" in said
    assert "module local_only" in said
    assert "module other_torch (ImportError: undefined symbol: _ZN3c10)" in said
    assert "command lrzip-of-a-test" in said
    assert "module json" not in said
