"""What pods may cost, before one is rented: each bound that a user gives is kept to."""

import math
from dataclasses import replace
from pathlib import Path

import pytest

from pgolf.errors import BadInput
from pgolf.pods.estimate import check_bounds, estimate
from pgolf.pods.places import check_wanted


def test_rented_pods_cost_what_may_be_rented() -> None:
    wanted = check_wanted("runpod")
    three = estimate(wanted, seeds=3, seed_hours=0.5, ranks=8)
    assert (three.machines, three.hours, three.dollars) == (3, 0.5, 60.0)  # 3 seeds of half an hour at $40
    assert three.kind.startswith("8 x NVIDIA H100")
    nets = wanted.settings.runpod.nets
    life = (nets.lifetime_s + nets.fetch_grace_s) / 3600
    assert three.most_hours == 6 * life  # 9 attempts and 8 pods that are not fit, three at a time
    assert three.most_dollars == pytest.approx(17 * 40 * life)
    one = estimate(replace(wanted, at_once=1), seeds=3, seed_hours=0.5, ranks=8)
    assert (one.machines, one.hours, one.dollars) == (1, 1.5, 60.0)
    assert one.most_dollars == pytest.approx(17 * 40 * life)
    rehearsed = estimate(replace(wanted, rehearse=True), seeds=3, seed_hours=0.5, ranks=8)
    assert rehearsed.most_dollars == pytest.approx((17 * 40 + 9 * 1) * life)


def test_record_that_would_rent_without_a_bound_is_not_started(tmp_path: Path) -> None:
    for bounds, missing in (
        ({}, "give --max-cost and --max-hours, at"),
        ({"max_cost": 60.0}, "give --max-hours, at"),
        ({"max_hours": 3.0}, "give --max-cost, at"),
    ):
        wanted = check_wanted("runpod", **bounds)
        with pytest.raises(BadInput, match=rf"{missing}.* or --no-bound.*0\.5 hours and \$60\.00"):
            check_bounds(wanted, 3, 0.5, 8)
        assert any("must be given" in line for line in estimate(wanted, 3, 0.5, 8).lines())
        check_bounds(check_wanted("runpod", no_bound=True, **bounds), 3, 0.5, 8)
    both = check_wanted("runpod", max_cost=60.0, max_hours=3.0)
    check_bounds(both, 3, 0.5, 8)
    assert not any("must be given" in line for line in estimate(both, 3, 0.5, 8).lines())
    check_bounds(check_wanted(), 3, 0.5, 8)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 0.0, -1.0])
def test_bound_that_bounds_nothing_is_refused(value: float) -> None:
    for name in ("max_cost", "max_hours"):
        with pytest.raises(BadInput, match="give a number above 0"):
            check_wanted("runpod", **{name: value})
    with pytest.raises(BadInput, match="nothing is rented"):
        check_wanted("ssh", no_bound=True)


def test_the_users_bounds_are_the_lower_ones() -> None:
    bounded = estimate(check_wanted("runpod", max_cost=50.0, max_hours=1.0), 3, 0.5, 8)
    assert (bounded.most_hours, bounded.most_dollars) == (1.0, 50.0)
    hours = estimate(check_wanted("runpod", max_cost=500.0, max_hours=1.0), 3, 0.5, 8)
    assert hours.most_dollars == 3 * 40.0
    assert "at most $50.00" in "\n".join(bounded.lines())


def test_machines_of_ones_own_have_their_prices(tmp_path: Path) -> None:
    text = "[[ssh.machines]]\nname = 'a'\nhost = 'h'\nprice_per_hour = 2.0\n[[ssh.machines]]\nname = 'b'\nhost = 'i'\n"
    (tmp_path / "pods.toml").write_text(text)
    two = estimate(check_wanted("ssh", pods_file=tmp_path / "pods.toml"), seeds=3, seed_hours=1.0, ranks=2)
    assert (two.machines, two.hours, two.dollars, two.most_dollars) == (2, 2.0, 6.0, None)
    assert "a, b" in two.kind
    assert "no bound" in two.lines()[1]
