"""What pods may cost, before one is rented: each bound that a user gives is kept to."""

from dataclasses import replace
from pathlib import Path

import pytest

from pgolf.pods.estimate import estimate
from pgolf.pods.places import check_wanted


def test_rented_pods_cost_what_their_bounds_allow() -> None:
    wanted = check_wanted("runpod")
    three = estimate(wanted, seeds=3, seed_hours=0.5, ranks=8)
    assert (three.machines, three.hours, three.dollars) == (3, 0.5, 60.0)  # 3 seeds of half an hour at $40
    assert three.kind.startswith("8 x NVIDIA H100")
    nets = wanted.settings.runpod.nets
    assert three.most_hours == (nets.lifetime_s + nets.fetch_grace_s) / 3600
    assert three.most_dollars == pytest.approx(3 * 40 * three.most_hours)
    one = estimate(replace(wanted, at_once=1), seeds=3, seed_hours=0.5, ranks=8)
    assert (one.machines, one.hours, one.dollars) == (1, 1.5, 60.0)
    assert one.most_dollars == pytest.approx(40 * three.most_hours)


def test_the_users_bounds_are_the_lower_ones() -> None:
    bounded = estimate(check_wanted("runpod", max_cost=50.0, max_hours=1.0), 3, 0.5, 8)
    assert (bounded.most_hours, bounded.most_dollars) == (1.0, 50.0)
    assert "at most $50.00" in "\n".join(bounded.lines())


def test_machines_of_ones_own_have_their_prices(tmp_path: Path) -> None:
    text = "[[ssh.machines]]\nname = 'a'\nhost = 'h'\nprice_per_hour = 2.0\n[[ssh.machines]]\nname = 'b'\nhost = 'i'\n"
    (tmp_path / "pods.toml").write_text(text)
    two = estimate(check_wanted("ssh", pods_file=tmp_path / "pods.toml"), seeds=3, seed_hours=1.0, ranks=2)
    assert (two.machines, two.hours, two.dollars, two.most_dollars) == (2, 2.0, 6.0, None)
    assert "a, b" in two.kind
    assert "no bound" in two.lines()[1]
