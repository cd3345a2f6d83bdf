"""Every case of ../shared/cases/audit holds: small folders, each of a kind that pgolf has once misjudged."""

import json
from pathlib import Path

import pytest

from pgolf.audit.audit import as_json, audit

CASES = Path(__file__).resolve().parents[3] / "shared" / "cases" / "audit"


def folders():
    return sorted(p.parent.name for p in CASES.glob("*/expected.json"))


def faults(name: str) -> list[str]:
    """In which ways the audit of a case is not what its expected.json says."""
    expected = json.loads((CASES / name / "expected.json").read_text())["expected"]
    unknown = expected.keys() - {"seeds", "not_failing", "not_passing"}
    record = as_json([audit(CASES / name)])["records"][0]
    status = {check["id"]: check["status"] for check in record["checks"]}
    read = {seed["log"]: seed for seed in record["seeds"]}
    found = [f"no test knows what '{key}' means" for key in sorted(unknown)]
    for seed in expected.get("seeds", []):
        for key, value in seed.items():
            got = read.get(seed["log"], {}).get(key)
            if got != value and not (isinstance(value, float) and got is not None and got == pytest.approx(value)):
                found.append(f"{seed['log']}: {key} is {value}, not {got}")
    found += [f"{check} fails" for check in expected.get("not_failing", []) if status[check] == "fail"]
    found += [f"{check} passes" for check in expected.get("not_passing", []) if status[check] == "pass"]
    return found


@pytest.mark.parametrize("name", folders() or [pytest.param("", marks=pytest.mark.skip("the cases are not here"))])
def test_a_case_holds(name):
    found = faults(name)
    assert not found
