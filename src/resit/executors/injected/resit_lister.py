"""Resit inside pytest: lists the tests of a suite. PYTEST_DONT_REWRITE

Imported by ``resit_pytest``; standard library and pytest only, for Python 3.8 and pytest 7.0 or later.
"""

from __future__ import annotations

import os

import pytest
import resit_pytest
from resit_lanes import classic, own_loop
from resit_pytest import clean

BUILTIN_MARKERS = {"parametrize", "usefixtures", "filterwarnings", "skip", "skipif", "xfail"}
LISTED_AT_ONCE = 200
LEANING = ("dependency", "depends", "order", "run", "first", "last", "incremental", "serial")
"""Marks of tests that count on their neighbours, as known plugins and the documentation of pytest have them."""


class Lister(resit_pytest.Ending, resit_pytest.Collecting):
    """Writes the tests of the suite, as pytest would run them."""

    def __init__(self, spool, config):
        resit_pytest.Ending.__init__(self, spool)
        self._root = str(config.rootpath)
        self._whole = set()  # files whose tests lean on each other
        if config.getoption("dist", "no") in ("loadfile", "loadscope"):
            self._whole = None

    def pytest_collectreport(self, report):
        """Collectors that failed or were skipped."""
        self._ended(report)
        resit_pytest.write_collector(self._spool, report)

    def pytest_collection_finish(self, session):
        """The items that are left after all plugins had their say."""
        try:
            items = list(session.items)
            reason = classic(session.config) or own_loop(session.config)
            if reason:
                self._spool.write("classic", reason=reason)
            if self._whole is not None:
                self._whole = {item.path for item in items if any(item.get_closest_marker(name) for name in LEANING)}
            for start in range(0, len(items), LISTED_AT_ONCE):
                tests = [self._describe(item) for item in items[start : start + LISTED_AT_ONCE]]
                self._spool.write("tests", tests=tests)
        except Exception:
            self._spool.trouble()

    def _describe(self, item):
        chain = item.listchain()
        files = [place for place, node in enumerate(chain) if isinstance(node, pytest.File)]
        files = [place for place in files if not isinstance(chain[place], pytest.Package)] or files
        path = str(chain[files[0]].path if files else item.path)
        names = [node.name for node in chain[files[0] + 1 :]] if files else [item.name]
        marks = dict.fromkeys(mark.name for mark in item.iter_markers())
        unit, apart = self._together(item, chain)
        shown, line = (item.location[0], item.location[1]) if item.location else ("", None)
        here = os.path.normpath(os.path.join(self._root, shown)) == path  # noqa: PTH118 - an inherited test is elsewhere
        return {
            "id": clean(item.nodeid),
            "file": clean(resit_pytest.posix(os.path.relpath(path, self._root))),
            "path": clean(path),
            "title": [clean(name) for name in names],
            "tags": [clean(name) for name in marks if name not in BUILTIN_MARKERS],
            "line": line + 1 if here and line is not None else 0,
            "unit": clean(unit),
            "apart": apart,
        }

    def _together(self, item, chain):
        """The name of what this test stays together with, and whether it may run apart from its file.

        A group of pytest-xdist's, or a class: fixtures of a class and unittest's setUpClass are for all of its tests.
        """
        group = item.get_closest_marker("xdist_group")
        names = [str(name) for name in (group.args or group.kwargs.values())] if group else []
        classes = [node.nodeid for node in chain if isinstance(node, pytest.Class)]
        free = self._whole is not None and item.path not in self._whole and isinstance(item, pytest.Function)
        unit = "@" + names[0] if names else classes[0] if classes and free else ""
        return unit, free
