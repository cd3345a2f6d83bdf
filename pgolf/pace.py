"""When something that is under way will be done, at the pace that it goes at: a training, a pass, a whole run."""

Point = tuple[float, float]  # seconds, and how much was done then


def projected_end(since: Point, now: Point, total: float) -> float | None:
    """The second at which `total` will be done, at the pace from `since` to `now`.

    None where the two show no pace: nothing was done between them, or no time went by. Whether what they show is enough
    to act on is for the caller to say.

    Examples
    --------
    >>> projected_end((90.0, 1), (190.0, 501), total=1001)
    290.0
    """
    seconds, done = now[0] - since[0], now[1] - since[1]
    if seconds <= 0 or done <= 0:
        return None
    return now[0] + seconds / done * (total - now[1])
