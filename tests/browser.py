"""A real headless Chromium: Debian's, or any that is installed, driven by Playwright."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, sync_playwright


@contextmanager
def chromium() -> Iterator[Browser]:
    """The browser; skips the test, and says why, where there is none."""
    found = next((p for n in ("chromium", "chromium-browser", "google-chrome") if (p := shutil.which(n))), None)
    if found is None:
        pytest.skip("there is no Chromium: `apt-get install chromium`, as .ci/run does")
    with sync_playwright() as playwright:
        # a container's root has no sandbox; the pages are our own
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()
