"""`read`: a log's text to its run."""

import pytest

from pgolf.evidence.logs import read_run


@pytest.fixture
def read(tmp_path):
    def read(text: str | bytes, name: str = "train.log"):
        path = tmp_path / name
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return read_run(path)

    return read
