"""pyproject.toml, requirements-audit.txt and pgolf.requirements name the same packages with the same ranges."""

import tomllib
from pathlib import Path

from packaging.requirements import Requirement

from pgolf import presets
from pgolf.requirements import ALWAYS, HUB, OF_CODEC, packages_of
from pgolf.trainer.codec import CODECS

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
RANGES = {need.name: need.specifier for need in map(Requirement, PROJECT["dependencies"])}


def test_a_trainers_packages_are_dependencies_within_the_same_range():
    for need in map(Requirement, (*ALWAYS, *(text for packages in OF_CODEC.values() for text in packages))):
        assert need.name in RANGES
        assert not need.specifier or need.specifier == RANGES[need.name]


def test_pods_fetch_with_the_package_that_this_machine_fetches_with():
    assert Requirement(HUB).specifier == RANGES[Requirement(HUB).name]


def test_codecs_that_need_a_package_are_codecs():
    assert set(OF_CODEC) <= set(CODECS)


def test_presets_whose_codec_needs_a_package_say_so():
    needy = [name for name in presets.names() if packages_of(presets.load(name)) != ALWAYS]
    assert {"pr1855", "smoke-frontier"} <= set(needy)
    assert packages_of(presets.load("smoke"), presets.load("pr1855"))[-1].startswith("constriction")


def test_what_an_audit_is_installed_with_is_a_part_of_the_dependencies():
    lines = (line.partition("#")[0].strip() for line in (ROOT / "requirements-audit.txt").read_text().splitlines())
    light = [Requirement(line) for line in lines if line]
    assert {need.name: need.specifier for need in light} == {need.name: RANGES[need.name] for need in light}
