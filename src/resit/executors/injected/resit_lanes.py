"""Lanes of pytest: tests that are pulled one by one, in a process that has collected once. PYTEST_DONT_REWRITE

Imported by ``resit_pytest``; standard library and pytest only, for Python 3.8 and pytest 7.0 or later. One lane is this
process itself. More of them are its children, forked after the collection, where nothing speaks against a fork; where
something does, this process is one lane and says so, and the executor starts another process for each of the others.

What is next comes through a FIFO, a line of JSON each; a lane asks for it when it has nothing more, in the middle of
the teardown of its last test: only there pytest needs to know which test follows, and by then as much as possible is
known of the others. Then it rings a bell, a FIFO of the executor's.
"""

from __future__ import annotations

import atexit
import faulthandler
import gc
import json
import os
import select
import signal
import sys
import threading

import pytest
import resit_pytest

REAP_SECONDS = 0.02
REAL = resit_pytest.Real
MARKER = "RESIT_PROCESS"

HARMLESS = {
    "xdist",
    "pytest_rerunfailures",
    "pytest_asyncio",
    "anyio",
    "pytest_mock",
    "pytest_django",
    "pytest_timeout",
}
"""Plugins whose hooks at the end of a session have nothing to do with what was executed in it."""
OF_FIXTURE = {"pytest_benchmark": "benchmark", "syrupy": "snapshot"}
"""Plugins that collect what tests with their fixture did, for the end of the session."""
CONTENT = {"pytest_rerunfailures", "pytest_retry"}
"""Plugins that hand the next test on without a look at it."""
AT_THE_END = ("pytest_sessionfinish", "pytest_unconfigure", "pytest_runtestloop")
ABOUT_THE_NEXT = ("pytest_runtest_protocol", "pytest_runtest_teardown")


class Commands:
    """What the executor says, and the bell that it hears."""

    def __init__(self, tasks, bell):
        self._tasks, self._bell = tasks, bell
        self._reading = self._ringing = -1
        self._data = b""

    def ring(self):
        """Something was written that should be read now."""
        try:
            try:
                REAL.write(self._ringing, b"\n")
            except OSError:  # the first time, or a test has closed it
                self._ringing = REAL.open(self._bell, os.O_WRONLY | os.O_NONBLOCK)
                REAL.write(self._ringing, b"\n")
        except OSError:
            return  # it is full, or nobody is there

    def next(self, seconds=None):
        """The next command; an empty one after ``seconds``, ``{"end": ...}`` when the executor is gone."""
        while b"\n" not in self._data:
            if seconds is not None and not self._there(seconds):
                return {}
            try:
                found = REAL.read(self._reading, 65536)
            except OSError:
                self._reading = REAL.open(self._tasks, os.O_RDONLY)
                continue
            if not found:
                return {"end": "nobody gives tests any more"}
            self._data += found
        line, _, self._data = self._data.partition(b"\n")
        return json.loads(line)

    def _there(self, seconds):
        try:
            os.fstat(self._reading)
        except OSError:
            self._reading = REAL.open(self._tasks, os.O_RDONLY)
        poll = select.poll()
        poll.register(self._reading, select.POLLIN)
        return bool(poll.poll(seconds * 1000))


class Lanes:
    """Takes the place of pytest's own loop over the tests."""

    def __init__(self, spool, config, settings, selection, reporter):
        self._spool, self._settings, self._selection, self._reporter = spool, settings, selection, reporter
        self._commands = Commands(settings["tasks"], settings["bell"])
        self._children = {}
        self._host_pid = os.getpid()

    def pytest_collection_finish(self, session):
        """Leave it, before a test is executed, to those who run all tests themselves."""
        name = own_loop(session.config)
        if name:
            leave(self._spool, self._settings, f"{name} runs the tests in its own way")

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session):
        """Serve, as one lane or as the host of many."""
        option = session.config.option
        if option.collectonly or (session.testsfailed and not option.continue_on_collection_errors):
            return None  # pytest says so itself
        items = {}
        for item in session.items:
            items.setdefault(resit_pytest.clean(item.nodeid), item)
        self._reporter.plan(items)
        reason = "" if self._settings["lanes"] == 1 else why_not_fork(session.config, items)
        forks = self._settings["lanes"] > 1 and not reason
        self._spool.write("ready", forks=forks, reason=reason)
        self._commands.ring()
        if forks:
            self._host(session, items)
        else:
            self._lane(session, items, self._commands).run()
        return True

    def pytest_unconfigure(self):
        """The session's last word is written: it need not wait until somebody looks."""
        self._commands.ring()

    def _lane(self, session, items, commands):
        return Lane(self._spool, session, items, commands, self._selection, self._reporter)

    # ------------------------------------------------------------ the host of many lanes

    def _host(self, session, items):
        """Fork a lane whenever the executor asks for one, tell how each ended, until there is no more to do."""
        config = session.config
        capture = config.pluginmanager.getplugin("capturemanager")
        if capture is not None:
            capture.stop_global_capturing()  # its file would be shared by all lanes
        folders = getattr(config, "_tmp_path_factory", None)
        if folders is not None:
            folders.getbasetemp()
        gc.freeze()
        while True:
            command = self._commands.next(REAP_SECONDS if self._children else None)
            self._reap()
            if "end" in command:
                break
            if not command:
                continue
            sys.stdout.flush()
            sys.stderr.flush()
            reason = why_not_fork(config, items)  # a look each time costs little
            pid = 0 if reason else os.fork()
            if reason:
                self._spool.write("lane_over", lane=command["lane"], status=1, reason=reason)
                self._commands.ring()
            elif pid == 0:
                self._child(session, items, command)
            else:
                self._children[pid] = command["lane"]
        terminal = config.pluginmanager.getplugin("terminalreporter")
        if terminal is not None:
            config.pluginmanager.unregister(terminal)  # nothing was executed here, and it would say so

    def _reap(self):
        for pid, lane in list(self._children.items()):
            found, status = os.waitpid(pid, os.WNOHANG)
            if found:
                del self._children[pid]
                code = -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
                self._spool.write("lane_over", lane=lane, status=code)
                self._commands.ring()

    def _child(self, session, items, command):
        """A lane, from its fork to its end; does not return."""
        status = 3
        try:
            self._separate(session.config, command)
            commands = Commands(command["tasks"], command["bell"])
            self._spool.write("lane", pid=os.getpid())
            commands.ring()
            status = self._session(session, self._lane(session, items, commands))
            self._reporter.finish(session, status)
            commands.ring()
        except BaseException:
            self._spool.trouble()
        finally:
            try:
                sys.stdout.flush()
                sys.stderr.flush()
            finally:
                os._exit(status)

    def _separate(self, config, command):
        """What a process of its own must not share with its host."""
        os.setsid()
        _end_with(self._host_pid)
        atexit._clear()  # noqa: SLF001 - what was registered until now is the host's to do
        os.environ[MARKER] = os.environ.get(MARKER, "") + "." + command["marker"]
        output = os.open(command["output"], os.O_WRONLY)
        for number in (1, 2):
            os.dup2(output, number)
        os.close(output)
        self._spool.move(command["spool"])
        self._reporter.outputs(command["outputs"])
        resit_pytest.offer_stacks(self._spool, command)
        if faulthandler.is_enabled():
            faulthandler.enable(file=os.dup(2))
        capture = config.pluginmanager.getplugin("capturemanager")
        if capture is not None:
            capture.start_global_capturing()
            capture.suspend_global_capture()
        folders = getattr(config, "_tmp_path_factory", None)
        if folders is not None:
            folders._basetemp = folders.getbasetemp() / "lane-{}".format(command["lane"])  # noqa: SLF001
            folders._basetemp.mkdir(mode=0o700)  # noqa: SLF001

    def _session(self, session, lane):
        """Run the lane as pytest runs a session; the exit status."""
        status, exit = 0, pytest.exit.Exception
        try:
            try:
                lane.run()
            finally:
                session._setupstate.teardown_exact(None)  # noqa: SLF001 - as at the end of any session
            status = 1 if session.testsfailed else 0
        except session.Failed:
            status = 1
        except (KeyboardInterrupt, exit) as error:
            info = pytest.ExceptionInfo.from_current()
            status = 2
            if isinstance(error, exit) and error.returncode is not None:
                status = error.returncode
            session.config.hook.pytest_keyboard_interrupt(excinfo=info)
        except BaseException:
            status = 3
            session.config.notify_exception(pytest.ExceptionInfo.from_current(), session.config.option)
        session.exitstatus = status
        self._summary(session.config.pluginmanager.getplugin("terminalreporter"))
        atexit._run_exitfuncs()  # noqa: SLF001 - of the lane's own tests
        return int(status)

    def _summary(self, terminal):
        """What pytest prints at the end of a session."""
        if terminal is None:
            return
        terminal.ensure_newline()
        for part in ("summary_errors", "summary_failures", "summary_warnings", "short_test_summary", "summary_stats"):
            try:
                getattr(terminal, part)()
            except Exception:
                self._spool.trouble()


class Lane:
    """Executes what it is given, one test after the other."""

    def __init__(self, spool, session, items, commands, selection, reporter):
        self._spool, self._session, self._items, self._commands = spool, session, items, commands
        self._selection, self._reporter = selection, reporter
        self._queue = []
        self._over = False
        self._pid = REAL.getpid()
        self._early = wants_to_know(session.config)

    def run(self):
        """Until there is nothing more; raises what pytest's own loop raises."""
        session = self._session
        item = self.next()
        while item is not None:
            following = Following(self)
            self._reporter.waited = 0.0
            if self._early:
                following.item()
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following.known(self._early))
            if session.shouldfail:
                raise session.Failed(session.shouldfail)
            if session.shouldstop:
                raise session.Interrupted(session.shouldstop)
            item = following.item()

    def next(self):
        """The next item; None when there is none, or when the session is to stop."""
        session = self._session
        if REAL.getpid() != self._pid:
            os._exit(0)  # a fork that a test made, and that came back from it: what is next is not its business
        if session.shouldfail or session.shouldstop:
            return None
        while not self._over:
            while self._queue:
                test = self._queue.pop(0)
                item = self._items.get(test)
                if item is not None:
                    return item
                self._spool.write("not_found", id=test, reason=self._selection.missing(test, self._items))
            self._spool.write("want")
            began = REAL.monotonic()
            self._commands.ring()
            command = self._commands.next()
            self._reporter.waited += REAL.monotonic() - began
            self._queue = command.get("tests", [])
            self._over = "end" in command
        return None


class Following:
    """The next item for pytest, which is asked for when something is asked of it.

    When there is none it takes itself for None as far as it can: no parents, and nothing known of it.
    """

    def __init__(self, lane):
        self._asked = False
        self._found = None
        self._lane = lane

    def item(self):
        """The item, or None."""
        if not self._asked:
            self._asked = True
            self._found = self._lane.next()
        return self._found

    def known(self, early):
        """What is handed to pytest."""
        return self._found if early else self

    def listchain(self):
        """As of an item: what setup may be kept for the next test."""
        item = self.item()
        return [] if item is None else item.listchain()

    @property
    def __class__(self):
        item = self.item()
        return Following if item is None else type(item)

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        item = self.item()
        return None if item is None else getattr(item, name)


def classic(config):
    """Why tests can't be pulled here: something else has its own way with all of them. Empty: nothing has."""
    if config.getoption("tx", None) or config.getoption("dist", "no") not in ("no", None):
        return "pytest-xdist distributes the tests"
    return ""


def leave(spool, settings, reason):
    """End this process: nothing was executed, and the executor does it another way."""
    spool.write("classic", reason=reason)
    Commands(settings["tasks"], settings["bell"]).ring()
    os._exit(0)


def own_loop(config):
    """The plugin that runs the tests in a loop of its own, if there is one."""
    for impl in config.hook.pytest_runtestloop.get_hookimpls():
        wraps = impl.hookwrapper or getattr(impl, "wrapper", False)
        if _foreign(impl.plugin) and not wraps:
            return _name(impl.plugin)
    return ""


def why_not_fork(config, items):
    """What speaks against forks of this process; empty: nothing."""
    if not sys.platform.startswith("linux"):
        return "this system's processes are not made for it"
    if config.getoption("xmlpath", None):
        return "--junitxml writes a file for all tests"
    if "coverage" in sys.modules or sys.gettrace() is not None:
        return "coverage or a debugger follows what is executed"
    for name in AT_THE_END:
        for impl in getattr(config.hook, name).get_hookimpls():
            if _foreign(impl.plugin) and not _harmless(_name(impl.plugin).partition(".")[0], items):
                return f"{_name(impl.plugin)} has a {name}"
    if threading.active_count() > 1 or len(os.listdir("/proc/self/task")) > 1:  # noqa: PTH208
        names = [thread.name for thread in threading.enumerate() if thread is not threading.main_thread()]
        return "threads were started at import: {}".format(", ".join(names) or "not by Python")
    for fd in os.listdir("/proc/self/fd"):  # noqa: PTH208
        try:
            target = os.readlink("/proc/self/fd/" + fd)  # noqa: PTH115
        except OSError:
            continue
        if target.startswith(("socket:", "anon_inode:[event", "anon_inode:[io_uring")):
            return f"a socket or an event loop was opened at import ({target})"
    return ""


def wants_to_know(config):
    """True when a plugin or a conftest looks at the next test before its turn, or counts the time until it is known."""
    if config.pluginmanager.hasplugin("timeout"):
        return True
    for name in ABOUT_THE_NEXT:
        for impl in getattr(config.hook, name).get_hookimpls():
            known = _name(impl.plugin).partition(".")[0] in CONTENT
            if "nextitem" in impl.argnames and _foreign(impl.plugin) and not known:
                return True
    return False


def _harmless(name, items):
    if name not in OF_FIXTURE:
        return name in HARMLESS
    return not any(OF_FIXTURE[name] in getattr(item, "fixturenames", ()) for item in items.values())


def _foreign(plugin):
    return _name(plugin).partition(".")[0] not in ("_pytest", "resit_pytest", "resit_lanes", "resit_lister")


def _name(plugin):
    return getattr(plugin, "__name__", None) or type(plugin).__module__


def _end_with(host):
    """From now on this process ends when its host does."""
    try:
        import ctypes

        ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)
    except Exception:
        return
    if os.getppid() != host:
        os._exit(1)
