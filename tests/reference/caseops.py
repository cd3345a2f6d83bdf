"""CaseOps letter by letter: the rules as they are told, one state at a time."""

TITLE, ALLCAPS, CAPNEXT, ESC = OPERATORS = "\ue001\ue002\ue003\ue004"


def letter(c):
    return "a" <= c <= "z" or "A" <= c <= "Z"


def encode(text):
    out, i = "", 0
    while i < len(text):
        if text[i] in OPERATORS:
            out += ESC + text[i]
            i += 1
        elif not letter(text[i]):
            out += text[i]
            i += 1
        else:
            j = i
            while j < len(text) and letter(text[j]):
                j += 1
            out += encode_run(text[i:j])
            i = j
    return out


def encode_run(run):
    upper = [c <= "Z" for c in run]
    if not any(upper):
        return run
    if all(upper) and len(run) >= 2:
        return ALLCAPS + run.lower()
    if upper[0] and len(run) >= 2 and not any(upper[1:]):
        return TITLE + run.lower()
    out = TITLE if upper[0] else ""
    out += run[0].lower()
    for c, up in zip(run[1:], upper[1:], strict=True):
        out += (CAPNEXT if up else "") + c.lower()
    return out


def decode(text):
    """ValueError for what `encode` never makes and the format calls an error."""
    out, pending, caps, inside, escaped = "", "", False, False, False
    for c in text:
        if escaped:
            if c not in OPERATORS:
                raise ValueError("ESC before something else than an operator")
            out += c
            escaped = False
        elif c in OPERATORS:
            if pending:
                raise ValueError("a marker before a non-letter")
            if c in (TITLE, ALLCAPS) and inside:
                raise ValueError("inside a run")
            if c == ESC:
                escaped, inside, caps = True, False, False
            else:
                pending = c
        elif letter(c):
            caps = caps or pending == ALLCAPS
            out += c.upper() if pending or caps else c
            pending, inside = "", True
        else:
            if pending:
                raise ValueError("a marker before a non-letter")
            out += c
            inside = caps = False
    if pending or escaped:
        raise ValueError("dangling")
    return out
