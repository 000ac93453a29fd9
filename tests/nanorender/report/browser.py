"""A headless Chromium for tests of pages, with real clicks."""

import importlib.util
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = (
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
    "--no-sandbox",
)


def missing() -> str:
    """Return what the tests lack, empty if nothing."""
    if CHROMIUM is None:
        return "Chromium is not installed"
    if importlib.util.find_spec("playwright") is None:
        return "playwright is not installed: pip install 'nanorender[test]'"
    return ""


needs_browser = pytest.mark.skipif(bool(missing()), reason=missing() or "-")


@contextmanager
def opened(profile: Path, **options) -> Iterator:
    """Open a browser with an empty profile; yield its context."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        context = driver.chromium.launch_persistent_context(
            str(profile),
            executable_path=CHROMIUM,
            headless=True,
            args=list(FLAGS),
            accept_downloads=True,
            **options,
        )
        context.set_default_timeout(120_000)  # machines may be busy
        yield context
        context.close()
