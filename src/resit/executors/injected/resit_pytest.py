"""Resit inside pytest: lists tests, selects them by id, and writes down what happens. PYTEST_DONT_REWRITE

Standard library and pytest only, for Python 3.8 and pytest 7.0 or later. It is the script that starts pytest (see the
end) and, once more, the plugin ``-p resit_pytest``; beside it are ``resit_lister`` and ``resit_lanes``. It never
raises, never blocks and writes each line with one ``write`` to a file opened for appending, so that all is there up to
the instant of a crash.

Settings come from the JSON file that the variable RESIT_PYTEST names; the variable is removed at once, so that a pytest
started by a test sees nothing of us. With pytest-xdist the controller reports, while the workers select.
"""

from __future__ import annotations

import faulthandler
import json
import os
import re
import signal
import sys
import time
import traceback

import pytest

STACK_LIMIT = 32 * 1024
MESSAGE_LIMIT = 4 * 1024
OUTPUT_LIMIT = 64 * 1024
PRINTED_LIMIT = 8 * 1024  # what travels with the result; a file has OUTPUT_LIMIT of it
RERUN = ("rerun", "retried")  # the outcomes of pytest-rerunfailures and pytest-retry


class Real:
    """Functions as they were at the start: tests replace the module's (pyfakefs, freezegun, monkeypatch)."""

    read = staticmethod(os.read)
    write = staticmethod(os.write)
    open = staticmethod(os.open)
    close = staticmethod(os.close)
    fstat = staticmethod(os.fstat)
    getpid = staticmethod(os.getpid)
    isdir = staticmethod(os.path.isdir)
    monotonic = staticmethod(time.monotonic)
    time = staticmethod(time.time)
    dumps = staticmethod(json.dumps)


def _settings():
    try:
        with open(os.environ.pop("RESIT_PYTEST"), encoding="utf-8") as file:  # noqa: PTH123 - before pathlib is needed
            return json.load(file)
    except (KeyError, OSError, ValueError):
        return None


def offer_stacks(spool, settings):
    """Say how this process can be asked where it hangs: a signal has all stacks written to a file, by C code alone.

    A real-time signal, because suites have handlers of their own for the others.
    """
    try:
        number = signal.SIGRTMAX - 5
        path = os.path.join(settings["outputs"], f"stacks-{Real.getpid()}.txt")  # noqa: PTH118
        fd = Real.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        faulthandler.register(number, file=fd, all_threads=True)
        spool.write("stacks", pid=Real.getpid(), signal=int(number), path=path)
    except Exception:  # no such signal here: then nobody is told where it hung
        return


def pytest_configure(config):
    """Take part: as lister, as reporter, or in a worker of pytest-xdist as selection alone."""
    try:
        settings, worker = _SETTINGS, hasattr(config, "workerinput")
        if worker:
            settings = json.loads(config.workerinput.get("resit_pytest", "null"))
        if not settings:
            return
        spool = Spool(settings["spool"])
        if worker:
            offer_stacks(spool, settings)
        if settings["mode"] == "list":
            from resit_lister import Lister

            config.pluginmanager.register(Lister(spool, config), "resit-lister")
            return
        selection = Selection(spool, config, settings)
        config.pluginmanager.register(selection, "resit-selection")
        if not worker:
            reporter = Reporter(spool, config, settings)
            config.pluginmanager.register(reporter, "resit-reporter")
            if settings["mode"] == "lanes":
                _take_part_in_lanes(spool, config, settings, selection, reporter)
    except Exception:  # a run without us is still a run; the executor sees that nothing was written
        traceback.print_exc()


def _take_part_in_lanes(spool, config, settings, selection, reporter):
    import resit_lanes

    reason = resit_lanes.classic(config)
    if reason:
        resit_lanes.leave(spool, settings, reason)
    config.pluginmanager.register(resit_lanes.Lanes(spool, config, settings, selection, reporter), "resit-lanes")


class Spool:
    """The file of JSON lines."""

    def __init__(self, path):
        self.move(path)

    def move(self, path):
        """Write there from now on, in this process."""
        self._path = path
        self._pid = Real.getpid()
        self._open()

    def _open(self):
        self._fd = Real.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        stat = Real.fstat(self._fd)
        self._file = (stat.st_dev, stat.st_ino)

    def write(self, kind, **line):
        """Append a line; not from a forked child, whose copy of us would tell everything twice."""
        try:
            if Real.getpid() != self._pid:
                return
            data = (Real.dumps(dict(line, kind=kind)) + "\n").encode("ascii")
            try:  # a test may have closed "all" files, and opened others in their place
                stat = Real.fstat(self._fd)
                if (stat.st_dev, stat.st_ino) != self._file:
                    self._open()
            except OSError:
                self._open()
            Real.write(self._fd, data)
        except Exception:
            return

    def trouble(self):
        """Note an error of our own; the run goes on."""
        self.write("trouble", text=clean(traceback.format_exc()))


class Ending:
    """How the session ends: shared by lister and reporter."""

    def __init__(self, spool):
        self._spool = spool
        self._stopped_by = ""

    def pytest_sessionstart(self, session):
        """Say who we are."""
        self._spool.write(
            "session",
            pytest=pytest.__version__,
            python=sys.version.split()[0],
            rootdir=str(session.config.rootpath),
            keep_on=bool(session.config.getoption("continue_on_collection_errors", False)),
        )

    def pytest_keyboard_interrupt(self, excinfo):
        """Remember why: SIGINT, pytest.exit(), or a failure limit under pytest-xdist."""
        try:
            text = str(getattr(excinfo.value, "msg", None) or excinfo.value).strip()
            name = type(excinfo.value).__name__
            if name == "Exit":
                self._stopped_by = "pytest.exit: " + text if text else "pytest.exit"
            else:
                self._stopped_by = text or name
        except Exception:
            self._spool.trouble()

    def pytest_internalerror(self, excinfo):
        """Remember the error in one line; its traceback is printed all the same."""
        try:
            self._stopped_by = self._stopped_by or excinfo.exconly(tryshort=True)
        except Exception:
            self._spool.trouble()

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_sessionfinish(self, session, exitstatus):
        """After everybody else's: plugins change the exit status in theirs."""
        yield
        self.finish(session, getattr(session, "exitstatus", exitstatus))

    def finish(self, session, status):
        """Write how the session ended."""
        reason = self._stopped_by or getattr(session, "shouldfail", "") or getattr(session, "shouldstop", "") or ""
        self._spool.write("end", status=int(status), reason=clean(str(reason)))


class Collecting:
    """Writes what is collected now, so that an import that hangs or kills the process has a name."""

    _collected = None

    def pytest_collectstart(self, collector):
        """Before a module is imported; classes and functions are inside of one."""
        if not isinstance(collector, (pytest.Session, pytest.Class)):
            self._collected = collector.nodeid
            self._spool.write("collecting", id=clean(collector.nodeid), pid=Real.getpid())

    def _ended(self, report):
        if report.nodeid == self._collected:
            self._collected = None
            self._spool.write("collected", pid=Real.getpid())


class Selection(Collecting):
    """Leaves only the wanted items, in every process that collects."""

    def __init__(self, spool, config, settings):
        self._spool = spool
        self._settings = settings
        self._root = str(config.rootpath)
        self._ids = set(settings["ids"])
        self._pulled = settings["mode"] == "lanes"  # which tests are wanted is not known yet
        files = settings["files"]
        self._all = self._pulled and not files
        self._files = {os.path.normpath(os.path.join(self._root, name)) for name in files}  # noqa: PTH118
        self._shunned = {os.path.normpath(os.path.join(self._root, name)) for name in settings["shunned"]}  # noqa: PTH118
        self._without_tests = []

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node):
        """pytest-xdist starts a worker: environment and plugin state don't reach it, this does."""
        try:
            node.workerinput["resit_pytest"] = json.dumps(self._settings)
        except Exception:
            self._spool.trouble()

    @pytest.hookimpl(tryfirst=True)
    def pytest_ignore_collect(self, collection_path):
        """Spare files that hold no wanted test.

        Never folders: their conftest.py may have hooks that concern all tests; but one in which an earlier process of
        the batch came to its end. Nothing is said of the other files, so that the suite's own rules decide.
        """
        try:
            if str(collection_path) in self._shunned:
                return True
            if self._all or collection_path.name in ("conftest.py", "__init__.py"):
                return None
            if str(collection_path) in self._files:
                return None
            return None if Real.isdir(str(collection_path)) else True
        except Exception:
            return None

    def pytest_collectreport(self, report):
        """Collectors that failed or were skipped."""
        self._ended(report)
        if write_collector(self._spool, report):
            self._without_tests.append(clean(report.nodeid))

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_collection_modifyitems(self, config, items):
        """Outermost, after the yield: plugins and conftests have marked, renamed and ordered what they wanted."""
        yield
        if self._pulled:
            return
        try:
            kept, dropped, seen = [], [], set()
            for item in items:
                test = plan_id(item.nodeid, self._ids)
                wanted = test in self._ids and test not in seen  # of two items with one id, the first
                (kept if wanted else dropped).append(item)
                seen.add(test)
            if dropped:
                items[:] = kept
                config.hook.pytest_deselected(items=dropped)
            for test in self._settings["ids"]:
                if test not in seen and not any(is_under(test, place) for place in self._without_tests):
                    self._spool.write("not_found", id=test, reason=self.missing(test, seen))
        except Exception:
            self._spool.trouble()

    def missing(self, test, seen):
        """Why a planned test is not among those that were ``seen``."""
        name = test.partition("::")[0]
        if name == test:
            return "planned as skipped at collection, but it is not skipped here"
        if not os.path.exists(os.path.join(self._root, name)):  # noqa: PTH110, PTH118
            return "planned, but its file is not there: " + name
        stem = test.partition("[")[0]
        similar = sorted(other for other in seen if other not in self._ids and other.partition("[")[0] == stem)
        if not similar:
            return "planned, but not collected"
        shown = ", ".join(similar[:3]) + (", ..." if len(similar) > 3 else "")
        return "planned, but not collected; an unstable id? Collected now: " + shown


class Reporter(Ending):
    """Writes when each test starts, and one result for each execution, folded from its reports."""

    def __init__(self, spool, config, settings):
        Ending.__init__(self, spool)
        self._root = str(config.rootpath)
        self._ids = set(settings["ids"])
        self._outputs = settings["outputs"]
        self._written = 0
        self._open = {}
        self.waited = 0.0  # seconds of the current test's teardown in which nobody had said what follows

    def plan(self, ids):
        """The tests that there are."""
        self._ids = ids

    def outputs(self, folder):
        """Where files go from now on."""
        self._outputs = folder

    def pytest_runtest_logstart(self, nodeid):
        """Before the test runs, so that a crash has a name."""
        try:
            test = plan_id(clean(nodeid), self._ids)
            last = self._open.get(test)
            if last is not None and last.reports:
                self._finish(last, final=False)
            self._open[test] = tried = Try(test, last)
            self._spool.write("start", id=test, at=Real.time(), retry=tried.retry)
        except Exception:
            self._spool.trouble()

    def pytest_runtest_logreport(self, report):
        """Fold; a try ends with its teardown."""
        try:
            test = plan_id(clean(report.nodeid), self._ids)
            tried = self._open.get(test)
            # Older pytest-rerunfailures goes on with a setup, pytest-retry with a call, neither with a new start.
            if tried is None or (tried.rerun and report.when in ("setup", "call")):
                if tried is not None:
                    self._finish(tried, final=False)
                self._open[test] = tried = Try(test, tried)
                self._spool.write("start", id=test, at=Real.time(), retry=tried.retry)
            tried.add(report, self._root, self.waited)
            if not _is_subtest(report) and report.when not in ("setup", "call"):  # "???": a worker of xdist crashed
                self._finish(tried, final=not tried.rerun)
        except Exception:
            self._spool.trouble()

    def pytest_runtest_logfinish(self, nodeid):
        """Whatever a plugin left open."""
        try:
            tried = self._open.get(plan_id(clean(nodeid), self._ids))
            if tried is not None and tried.reports:
                self._finish(tried, final=not tried.rerun)
        except Exception:
            self._spool.trouble()

    def _finish(self, tried, final):
        if tried.done:
            return
        tried.done = True
        if final:
            self._open.pop(tried.test, None)
        outputs = list(tried.outputs())
        self._spool.write(
            "result",
            id=tried.test,
            status=tried.status(),
            retry=tried.retry,
            final=final,
            at=tried.started or Real.time() - tried.duration,
            duration=tried.duration,
            failures=tried.failures,
            outputs=[self._output(name, text) for name, text in outputs],
            notes=tried.annotations(),
            printed={name: clean(_cut(text, PRINTED_LIMIT)) for name, text in outputs},
            phases=tried.phases,
        )

    def _output(self, name, text):
        self._written += 1
        path = os.path.join(self._outputs, f"{self._written}-{name}.txt")  # noqa: PTH118
        data = _cut(text, OUTPUT_LIMIT).encode("utf-8", "backslashreplace")
        fd = Real.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            Real.write(fd, data)
        finally:
            Real.close(fd)
        return [name, path, len(data)]


class Try:
    """One execution of one test."""

    def __init__(self, test, before):
        self.test = test
        self.retry = before.retry + 1 if before is not None else 0
        self.old_sections = before.sections if before is not None else []
        self.sections = []
        self.reports = 0
        self.rerun = self.done = False
        self.started = 0.0
        self.duration = 0.0
        self.failures = []
        self.phases = []
        self._broken = self._failed = self._skipped = False
        self._notes = []
        self._properties = []

    def add(self, report, root, waited=0.0):
        """Fold a report: of setup, call or teardown (that waited so long), of a subtest, or of a crash."""
        self.reports += 1
        if _is_subtest(report):  # a part of its test, which goes on; its time is in the call's
            if report.failed:
                self._failed = True
                self.failures.append(_failure(report, root, f"subtest {_subtest_name(report)}: "))
            return
        self.started = self.started or getattr(report, "start", 0.0)
        duration = getattr(report, "duration", 0.0) or 0.0
        if report.when == "teardown":
            duration = max(0.0, duration - waited)
        self.phases.append([str(report.when), self.duration, duration])
        self.duration += duration
        sections = list(getattr(report, "sections", ()))
        self.sections = sections if len(sections) >= len(self.sections) else self.sections
        self._properties = list(getattr(report, "user_properties", ()))
        xfail = getattr(report, "wasxfail", None)
        self.rerun = self.rerun or report.outcome in RERUN
        if report.failed or report.outcome in RERUN:
            if report.when == "call":
                self._failed = True
            else:
                self._broken = True
            if not (self.failures and str(report.longrepr).startswith("contains ")):  # "contains 1 failed subtest"
                self.failures.append(_failure(report, root, ""))
        elif report.skipped:
            self._skipped = True
            self._notes.append(["skip", _skip_reason(report)] if xfail is None else ["xfail", clean(str(xfail))])
        elif xfail is not None and report.when == "call":
            self._notes.append(["xpass", clean(str(xfail))])

    def status(self):
        """As pytest and its JUnit file judge: a failure is of the call, an error of what is around it."""
        if self._failed:
            return "failed"
        if self._broken:
            return "errored"
        return "skipped" if self._skipped else "passed"

    def annotations(self):
        """Why it was skipped and what was expected, then the user's properties."""
        return self._notes + [[clean(str(name)), clean(str(value))] for name, value in self._properties]

    def outputs(self):
        """What was captured in this try, by stream: pytest hands on what the tries before left as well."""
        old, new = self.old_sections, self.sections
        if old and new[: len(old)] == old:
            new = new[len(old) :]
        for name in ("stdout", "stderr", "log"):
            parts = [(title, text) for title, text in new if title.startswith("Captured " + name) and text]
            if len(parts) == 1:
                yield name, parts[0][1]
            elif parts:
                yield name, "\n".join(f"--- {title} ---\n{text}" for title, text in parts)


def _is_subtest(report):
    return getattr(report, "context", None) is not None and "subtest" in type(report).__name__.lower()


def _subtest_name(report):
    try:
        return report._sub_test_description()  # noqa: SLF001 - there is no public name for it
    except Exception:
        return "[{}]".format(getattr(report.context, "msg", "") or "")


def _failure(report, root, prefix):
    crash = getattr(report.longrepr, "reprcrash", None)
    stack = getattr(report, "longreprtext", "") or str(report.longrepr or "")
    if crash is not None:
        message, place = crash.message, f"{_relative(crash.path, root)}:{crash.lineno}"
    else:
        lines = [line for line in stack.splitlines() if line.strip()]
        message = lines[-1].strip() if lines else "failed"
        location = getattr(report, "location", None) or ("", None, "")
        place = posix(location[0]) + ("" if location[1] is None else f":{location[1] + 1}")
    message = prefix + (str(message) or "failed")
    if report.when == "teardown":
        message = "teardown: " + message
    return [clean(_cut(message, MESSAGE_LIMIT)), clean(_cut(stack, STACK_LIMIT)), clean(place)]


def _skip_reason(report):
    longrepr = getattr(report, "longrepr", None)
    text = str(longrepr[2] if isinstance(longrepr, (tuple, list)) and len(longrepr) == 3 else longrepr or "")
    return clean(re.sub(r"^Skipped: ", "", text))


def write_collector(spool, report):
    """Write a collector that failed or was skipped; True when it was one."""
    try:
        if report.passed:
            return False
        if report.skipped:
            longrepr = report.longrepr
            line = longrepr[1] if isinstance(longrepr, (tuple, list)) and isinstance(longrepr[1], int) else 0
            spool.write("collect_skip", id=clean(report.nodeid), reason=_skip_reason(report), line=line)
        else:
            text = clean(_cut(getattr(report, "longreprtext", "") or str(report.longrepr), STACK_LIMIT))
            spool.write("collect_error", id=clean(report.nodeid), text=text)
    except Exception:
        spool.trouble()
    return True


def plan_id(nodeid, ids):
    """The id in the plan: ``--dist loadgroup`` of pytest-xdist appends ``@group`` in its workers."""
    if nodeid in ids or "@" not in nodeid:
        return nodeid
    stem = nodeid.rpartition("@")[0]
    return stem if stem in ids else nodeid


def is_under(test, collector):
    """True for the collector itself, and for the tests of a module, class or package."""
    return test == collector or test.startswith((collector + "::", collector + "/"))


def _cut(text, limit):
    """Head and tail of a long text, with a note in between."""
    if len(text) <= limit:
        return text
    head = limit // 4
    return f"{text[:head]}\n... {len(text) - limit} characters left out ...\n{text[head - limit :]}"


def clean(text):
    """Text that any file and database takes: no lone surrogates, no NUL."""
    if not text.isascii():
        text = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return text.replace("\0", "\\x00")


def _relative(path, root):
    path = str(path)
    return posix(path[len(root) + 1 :] if path.startswith(root + os.sep) else path)


def posix(path):
    return str(path).replace(os.sep, "/")


_SETTINGS = _settings() if __name__ == "resit_pytest" else None
if _SETTINGS:  # at once: a conftest.py may hang before pytest is configured
    try:
        offer_stacks(Spool(_SETTINGS["spool"]), _SETTINGS)
    except Exception:
        traceback.print_exc()


def _main():
    """Start pytest as its own command does.

    Not ``python -m pytest``, which puts the working directory first on sys.path, where the command puts the folder of
    the script: a suite that only works with the one would fail with the other. Workers of pytest-xdist take sys.path
    over as it is here, so they find the plugin without PYTHONPATH, which therefore stays the user's.
    """
    here, programs = os.path.dirname(os.path.realpath(__file__)), os.path.dirname(sys.executable)  # noqa: PTH120
    rest = [entry for entry in sys.path if os.path.realpath(entry) != here]
    sys.path[:] = [programs, *rest, here]
    sys.argv[0] = os.path.join(programs, "pytest")  # noqa: PTH118
    return int(pytest.main())


if __name__ == "__main__":
    sys.exit(_main())
