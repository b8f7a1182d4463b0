'use strict';
/**
 * Resit's reporter for Playwright Test (1.44 and newer), added to a run beside the reporters of the user.
 *
 * It selects the planned tests by id (`preprocess`, 1.62 and newer) and appends what happens to a spool file, one JSON
 * object a line; `resit/executors/playwright_events.py` reads them. It decides as little as possible: retries are
 * folded, and what a death means is decided, on the other side.
 *
 * Three rules: it never throws (since 1.62 an error of a reporter fails the run), it never waits, and it leaves nothing
 * in the environment, so that a Playwright started by a test sees nothing of it. Node's own modules only.
 */
const fs = require('fs');
const path = require('path');

const settings = readSettings();

function readSettings() {
  try {
    const file = process.env.RESIT_PLAYWRIGHT;
    delete process.env.RESIT_PLAYWRIGHT;
    if (!file)
      return null;
    delete process.env.PW_TEST_REPORTER;
    return JSON.parse(fs.readFileSync(file, 'utf8'));
  } catch (e) {
    return null;
  }
}

const IDS_A_LINE = 500;
const TESTS_A_LINE = 200;
const TEXT_LIMIT = 64 * 1024;
const OUTPUT_LIMIT = 8 * 1024; // characters that travel with a result; the attachment has TEXT_LIMIT of them
const STEPS = 300; // of one result
const TITLE_LIMIT = 300;
const METADATA_LIMIT = 4 * 1024;
// eslint-disable-next-line no-control-regex
const ANSI = /[\u001b\u009b](?:\][^\u0007]*\u0007|[[()#;?]*(?:\d{1,4}(?:;\d{0,4})*)?[\dA-PR-TZcf-nq-uy=><~])/g;

/** Text without colours, no longer than `limit` characters: the head and the tail are kept. */
function plain(text, limit = TEXT_LIMIT) {
  return cut(String(text === undefined || text === null ? '' : text).replace(ANSI, ''), limit);
}

function cut(text, limit) {
  if (text.length <= limit)
    return text;
  const half = Math.floor(limit / 2);
  return `${text.slice(0, half)}\n[... ${text.length - 2 * half} characters left out ...]\n${text.slice(-half)}`;
}

function firstLine(text) {
  return plain(text).trim().split('\n', 1)[0].slice(0, 300);
}

class ResitReporter {
  constructor() {
    this._fd = -1;
    this._ids = new Set();
    this._modes = new Map(); // suite -> mode, filled in preprocess where Playwright can tell
    this._testRun = null;
    this._groups = new Map(); // outermost serial suite -> key
    this._open = new Map(); // id of a test that began in this turn of the event loop -> its line
    this._failedIn = new Map(); // project and file -> the last failed test there
    this._failedProjects = new Map(); // project -> its failed tests with their messages
    this._stopped = '';
    this._errors = [];
    this._files = 0;
    this._relatives = new Map(); // absolute path -> as seen from the working directory
    this._signed = 0;
    this._guard(() => {
      if (!settings)
        return;
      this._fd = fs.openSync(settings.spool, 'a');
      this._ids = new Set(settings.ids || []);
      // Playwright names files by their real path, whatever link the folder was reached through.
      this._workdir = fs.realpathSync(settings.workdir);
      this._write({ t: 'sign' });
    });
    this._guard(() => this._dispatch());
  }

  /** Gets hold of Playwright's dispatcher, where several workers share the batch. */
  _dispatch() {
    const wanted = settings.dispatch;
    if (!wanted)
      return;
    const dispatch = require('./resit_dispatch.cjs');
    const known = new Map(settings.ids.map((id, place) => [id, wanted.seconds[place]]));
    const seconds = test => known.get(test.id) || 0;
    if (wanted.order === 'groups')
      dispatch.orderGroups(seconds);
    else
      this._order = (suite, workers) => dispatch.orderSuites(suite, seconds, workers, wanted.order === 'files');
    if (wanted.gate)
      dispatch.stageStarts(wanted.gate);
  }

  printsToStdio() {
    return false;
  }

  async preprocess(params) {
    this._guard(() => {
      const { config, suite, testRun } = params;
      this._testRun = testRun;
      try {
        if (config.shard)
          testRun.skipSharding();
      } catch (e) {
        // A reporter of the user was first, and sharding is off already.
      }
      if (settings.mode !== 'list') {
        for (const project of suite.suites.slice()) {
          try {
            this._prune(project, testRun);
          } catch (e) {
            // A setup or teardown project of others: Playwright runs it in full and refuses to change it.
          }
        }
      }
      for (const test of suite.allTests())
        this._apart(test); // asks for the modes while Playwright answers
      if (this._order)
        this._natural = this._order(suite, config.workers);
    });
    this._testRun = null;
  }

  /** Excludes every test of `suite` that is not planned, the largest possible pieces first. */
  _prune(suite, testRun) {
    const keep = suite.allTests().filter(test => this._ids.has(test.id)).length;
    if (!keep) {
      testRun.exclude(suite);
      return;
    }
    for (const entry of suite.entries().slice()) {
      if (entry.entries)
        this._prune(entry, testRun);
      else if (!this._ids.has(entry.id))
        testRun.exclude(entry);
    }
  }

  onBegin(config, suite) {
    this._guard(() => this._natural && this._natural());
    this._guard(() => {
      this._config = config;
      this._suite = suite;
      this._write({
        t: 'config',
        version: config.version,
        workers: config.workers,
        max_failures: config.maxFailures || 0,
        fail_on_flaky: !!config.failOnFlakyTests,
        projects: (config.projects || []).map(p => ({ name: p.name, needs: p.dependencies || [], teardown: p.teardown || '' })),
      });
      if (settings.mode === 'list')
        this._guard(() => this._write({ t: 'suite', suite: this._describeConfig(config) }));
      if (settings.mode === 'list')
        this._list(suite);
      else
        this._begin(suite);
    });
  }

  _list(suite) {
    const all = suite.allTests();
    const chosen = this._only(suite);
    if (chosen.size !== all.length)
      this._write({ t: 'only', kept: chosen.size, all: all.length });
    let tests = [];
    const flush = () => {
      if (tests.length)
        this._write({ t: 'tests', tests });
      tests = [];
    };
    for (const test of all) {
      if (!chosen.has(test))
        continue;
      tests.push(this._describe(test));
      if (tests.length >= TESTS_A_LINE)
        flush();
    }
    flush();
  }

  /** What Playwright's own reports say of a suite besides its tests; paths are relative to the working directory. */
  _describeConfig(config) {
    const short = value => JSON.stringify(value || {}).length <= METADATA_LIMIT ? value || {} : {};
    const place = file => file ? this._relative(file) : undefined;
    return {
      workdir: this._workdir,
      root: place(config.rootDir) || '.',
      config: place(config.configFile),
      timeout: config.globalTimeout || 0,
      max_failures: config.maxFailures || 0,
      metadata: short(config.metadata),
      version: config.version,
      workers: config.workers,
      tags: config.tags,
      fail_on_flaky: config.failOnFlakyTests,
      projects: (config.projects || []).map(project => ({
        name: project.name,
        dir: place(project.testDir) || '.',
        snapshots: place(project.snapshotDir) || '.',
        repeat: project.repeatEach || 1,
        retries: project.retries || 0,
        timeout: project.timeout || 0,
        metadata: short(project.metadata),
        ignore: patterns(project.testIgnore),
        match: patterns(project.testMatch),
        grep: patterns(project.grep),
        invert: patterns(project.grepInvert),
        needs: project.dependencies || [],
        teardown: project.teardown,
        test_id: project.use && project.use.testIdAttribute,
      })),
    };
  }

  /** The tests that a run would execute: `test.only` narrows the listing too, projects that others need stay whole. */
  _only(suite) {
    const chosen = new Set(suite.allTests());
    this._guard(() => {
      const only = new Set();
      const visit = current => {
        const suites = current.suites.filter(child => {
          const inside = visit(child);
          if (!inside && child._only)
            child.allTests().forEach(test => only.add(test));
          return inside || child._only;
        });
        const tests = current.tests.filter(test => test._only);
        tests.forEach(test => only.add(test));
        return suites.length + tests.length > 0;
      };
      if (!visit(suite))
        return;
      const needed = this._needed([...only].map(test => this._variant(test)));
      for (const test of chosen) {
        if (!only.has(test) && !needed.has(this._variant(test)))
          chosen.delete(test);
      }
    });
    return chosen;
  }

  /** The setup and teardown projects behind `variants`. */
  _needed(variants) {
    const projects = new Map((this._config.projects || []).map(project => [project.name, project]));
    const needed = new Set();
    const queue = [...new Set(variants)];
    while (queue.length) {
      const project = projects.get(queue.pop());
      for (const name of project ? [...(project.dependencies || []), project.teardown] : []) {
        if (name && !needed.has(name)) {
          needed.add(name);
          queue.push(name);
        }
      }
    }
    return needed;
  }

  _describe(test) {
    const titles = this._titles(test);
    if (test.repeatEachIndex > 0)
      titles[titles.length - 1] += ` (repeat ${test.repeatEachIndex})`;
    return {
      id: test.id,
      file: this._file(test),
      titles,
      variant: this._variant(test),
      tags: [...new Set(test.tags || [])],
      line: (test.location && test.location.line) || 0,
      unit: this._unit(test),
      apart: this._apart(test),
    };
  }

  _titles(test) {
    const titles = [test.title];
    for (let parent = test.parent; parent && this._type(parent) === 'describe'; parent = parent.parent) {
      if (parent.title)
        titles.unshift(parent.title);
    }
    return titles;
  }

  _type(suite) {
    if (suite.type)
      return suite.type;
    const depth = suite.titlePath ? suite.titlePath().length : 0;
    return ['root', 'root', 'project', 'file'][depth] || 'describe';
  }

  _file(test) {
    let suite = test.parent;
    while (suite && this._type(suite) !== 'file')
      suite = suite.parent;
    const file = (suite && suite.location && suite.location.file) || test.location.file;
    return this._relative(file);
  }

  _relative(file) {
    let found = this._relatives.get(file); // a test has dozens of places in a few files
    if (found === undefined) {
      found = path.relative(this._workdir, file).split(path.sep).join('/');
      this._relatives.set(file, found);
    }
    return found;
  }

  _variant(test) {
    for (let parent = test.parent; parent; parent = parent.parent) {
      if (this._type(parent) === 'project')
        return parent.title;
    }
    return '';
  }

  /** The outermost serial suite around a test: its tests are executed, and tried again, together. */
  _serialRoot(test) {
    let root = null;
    for (let parent = test.parent; parent; parent = parent.parent) {
      if (this._mode(parent) === 'serial')
        root = parent;
    }
    return root;
  }

  _mode(suite) {
    if (this._modes.has(suite))
      return this._modes.get(suite);
    let mode = suite._parallelMode;
    if (this._testRun && this._testRun.mode && this._type(suite) !== 'root') {
      mode = this._testRun.mode(suite);
      this._modes.set(suite, mode);
    }
    return mode;
  }

  /** Whether the test may be executed in another process than the rest of its file, with its serial group. */
  _apart(test) {
    const root = this._serialRoot(test);
    for (let suite = root ? root.parent : test.parent; suite; suite = suite.parent) {
      const mode = this._mode(suite);
      if (mode && mode !== 'none')
        return mode === 'parallel';
    }
    return false;
  }

  _unit(test) {
    const root = this._serialRoot(test);
    if (!root)
      return '';
    const titles = [];
    for (let suite = root; suite && this._type(suite) === 'describe'; suite = suite.parent)
      titles.unshift(suite.title);
    return [`[${this._variant(test)}] ${this._file(test)}`, ...titles].join(' \u203a ');
  }

  _begin(suite) {
    let ids = [];
    for (const test of suite.allTests()) {
      if (!this._ids.has(test.id))
        continue;
      ids.push([test.id, test.retries > 0 ? this._group(test) : '']);
      if (ids.length >= IDS_A_LINE) {
        this._write({ t: 'begin', ids });
        ids = [];
      }
    }
    this._write({ t: 'begin', ids, last: true });
  }

  _group(test) {
    const root = this._serialRoot(test);
    if (!root)
      return '';
    if (!this._groups.has(root))
      this._groups.set(root, `g${this._groups.size}`);
    return this._groups.get(root);
  }

  onTestBegin(test, result) {
    this._guard(() => {
      if (!this._ids.has(test.id))
        return;
      // Tests that Playwright passes over begin and end in one breath: only a real start is told.
      this._open.set(test.id, { t: 'start', id: test.id, retry: result.retry, at: seconds(result.startTime) });
      queueMicrotask(() => this._guard(() => this._started(test.id)));
    });
  }

  _started(id) {
    const line = this._open.get(id);
    if (line) {
      this._open.delete(id);
      this._write(line);
    }
  }

  onTestEnd(test, result) {
    this._guard(() => {
      const passedOver = result.status === 'skipped' && test.expectedStatus !== 'skipped';
      const failed = result.status !== 'skipped' && result.status !== 'interrupted' && result.status !== test.expectedStatus;
      this._remember(test, result, failed);
      if (!this._ids.has(test.id))
        return;
      if (passedOver) {
        this._open.delete(test.id);
        this._write({ t: 'left', id: test.id, retry: result.retry, retries: test.retries, reason: this._passedOver(test) });
        return;
      }
      if (result.status === 'skipped')
        this._open.delete(test.id);
      else
        this._started(test.id);
      const annotations = result.annotations || test.annotations || [];
      const places = new Map(); // attachment -> its place among those that are told
      const line = {
        t: 'result',
        id: test.id,
        retry: result.retry,
        retries: test.retries,
        ok: !failed,
        status: statusOf(result, failed),
        at: seconds(result.startTime),
        duration: Math.max(0, result.duration || 0) / 1000,
        failures: failed || result.status === 'interrupted' ? this._failures(test, result) : [],
        attachments: this._attachments(result, places),
        annotations: annotations.map(a => [String(a.type), plain(a.description, 4096)]),
        ...(result.status === 'interrupted' ? this._cutOff(result) : {}),
      };
      this._guard(() => Object.assign(line, this._account(test, result, annotations, places, line.failures)));
      this._write(line);
    });
  }

  /** What only Playwright's own reports want to know of a result. */
  _account(test, result, annotations, places, failures) {
    const setting = { worker: result.workerIndex, parallel: result.parallelIndex, timeout: (test.timeout || 0) / 1000 };
    if (test.retries)
      setting.retries = test.retries;
    setting.place = this._place(test.location);
    const annotated = annotations.map(a => this._place(a.location));
    if (annotated.some(place => place))
      setting.annotated = annotated;
    const known = result.errors || [];
    if (test.expectedStatus !== 'passed') {
      setting.expected = test.expectedStatus;
      setting.status = result.status;
      if (!failures.length && known.length)
        setting.errors = known.map(error => this._failure(error));
    }
    const account = { setting };
    const [steps, left] = this._steps(result, places, failures.length ? known : []);
    if (steps.length)
      account.steps = steps;
    if (left)
      account.left_out = left;
    for (const name of ['stdout', 'stderr']) {
      const text = printed(result[name]);
      if (text)
        account[name] = plain(text, OUTPUT_LIMIT);
    }
    return account;
  }

  /** The steps in the order of their beginnings, and how many are left out: the deepest, but none that failed. */
  _steps(result, places, errors) {
    let all = [];
    const visit = (steps, depth) => {
      for (const step of steps || []) {
        all.push({ step, depth, order: all.length, rank: step.error || step.duration < 0 ? -1 : depth });
        visit(step.steps, depth + 1);
      }
    };
    visit(result.steps, 0);
    const count = all.length;
    if (count > STEPS)
      all = all.sort((a, b) => a.rank - b.rank || a.order - b.order).slice(0, STEPS).sort((a, b) => a.order - b.order);
    const began = result.startTime ? result.startTime.getTime() : 0;
    return [all.map(({ step, depth }) => this._step(step, depth, began, places, errors)), count - all.length];
  }

  /** A step as the wire has it (resit/domain/wire.py): what says nothing at the end is left out. */
  _step(step, depth, began, places, errors) {
    const start = step.startTime ? Math.max(0, step.startTime.getTime() - began) : 0;
    const line = [plain(step.title, TITLE_LIMIT), String(step.category || ''), depth, start, step.duration < 0 ? -1 : step.duration];
    const own = (step.attachments || []).map(a => places.get(a)).filter(place => place !== undefined);
    const more = [this._place(step.location), plain(step.subtitle, TITLE_LIMIT), this._stepError(step.error, errors), own];
    while (more.length && (more[more.length - 1] === '' || more[more.length - 1] === null || more[more.length - 1].length === 0))
      more.pop();
    return [...line, ...more];
  }

  /** A failure of the result's by its place there, because most are; else the failure. */
  _stepError(error, errors) {
    if (!error)
      return null;
    const place = errors.findIndex(other => other === error || (other.message === error.message && other.stack === error.stack));
    return place >= 0 ? place : this._failure(error);
  }

  /** Where a test was when it was cut off: the innermost step that came to no good end. */
  _cutOff(result) {
    let steps = result.steps || [], found = null;
    for (;;) {
      const open = steps.filter(step => step.error || step.duration < 0).pop();
      if (!open)
        break;
      found = open;
      steps = open.steps || [];
    }
    if (!found)
      return {};
    const place = this._location(found.location);
    return { where: firstLine(found.title) + (place && ` at ${place}`), place };
  }

  onStepBegin() {
    this._sign();
  }

  onStepEnd() {
    this._sign();
  }

  onStdOut() {
    this._sign();
  }

  onStdErr() {
    this._sign();
  }

  /** A test that does something is no test that hangs; told once a second at most. */
  _sign() {
    this._guard(() => {
      const now = Date.now();
      if (now - this._signed < 1000)
        return;
      this._signed = now;
      this._write({ t: 'sign' });
    });
  }

  _why(test, result) {
    const error = (result.errors || [])[0];
    if (error)
      return firstLine(error.message || error.value);
    return result.status === 'passed' ? 'Expected to fail, but passed.' : `the test ended as ${result.status}`;
  }

  /** Keeps what later reasons need: the last failure of each file, and which tests of each project are failed now. */
  _remember(test, result, failed) {
    const variant = this._variant(test);
    if (!failed) {
      if (result.status !== 'skipped' && this._failedProjects.has(variant))
        this._failedProjects.get(variant).delete(test);
      return;
    }
    const message = this._why(test, result);
    this._failedIn.set(this._corner(test), { test, hook: (result.steps || []).some(failedBeforeAll), message });
    if (!this._failedProjects.has(variant))
      this._failedProjects.set(variant, new Map());
    this._failedProjects.get(variant).set(test, message);
  }

  _corner(test) {
    return `${this._variant(test)}\n${this._file(test)}`;
  }

  /** Why a test was passed over in the middle of its file. */
  _passedOver(test) {
    const earlier = this._failedIn.get(this._corner(test));
    if (!earlier)
      return 'Playwright passed it over';
    const title = `"${this._titles(earlier.test).join(' \u203a ')}"`;
    if (earlier.hook)
      return `a beforeAll hook failed: ${earlier.message}`;
    const root = this._serialRoot(test);
    if (root && root === this._serialRoot(earlier.test))
      return `an earlier test of its serial group failed: ${title}`;
    return `it was passed over after ${title} failed: ${earlier.message}`;
  }

  _failures(test, result) {
    const failures = (result.errors || []).map(error => this._failure(error));
    if (!failures.length && result.status === 'passed')
      failures.push({ message: 'Expected to fail, but passed.', stack: '', location: this._location(test.location) });
    return failures;
  }

  _failure(error) {
    const message = plain(error.message || error.value || 'unknown error');
    let stack = plain(error.stack);
    for (let cause = error.cause, depth = 0; cause && depth < 5; cause = cause.cause, depth++)
      stack += `\n[cause]: ${plain(cause.stack || cause.message || cause.value)}`;
    const snippet = error.snippet ? plain(error.snippet) : '';
    if (snippet)
      stack += `\n\n${snippet}`;
    const failure = { message, stack: cut(stack, 2 * TEXT_LIMIT).trimStart(), location: this._location(error.location) };
    if (snippet)
      failure.snippet = snippet;
    if (error.location && error.location.column)
      failure.column = error.location.column;
    return failure;
  }

  _location(location) {
    return location && location.file ? `${this._relative(location.file)}:${location.line}` : '';
  }

  _place(location) {
    return location && location.file ? `${this._relative(location.file)}:${location.line}:${location.column}` : '';
  }

  _attachments(result, places) {
    const list = [];
    for (const attachment of result.attachments || []) {
      this._guard(() => {
        if (attachment.name.startsWith('_'))
          return;
        const file = attachment.path || (attachment.body ? this._save(attachment.name, attachment.body) : '');
        const stat = file && fs.statSync(file, { throwIfNoEntry: false });
        if (!stat || !stat.isFile())
          return;
        places.set(attachment, list.length);
        const kind = attachment.contentType || 'application/octet-stream';
        list.push([attachment.name, kind, path.resolve(file), stat.size, attachment.path ? '' : 'body']);
      });
    }
    for (const name of ['stdout', 'stderr']) {
      this._guard(() => {
        const text = printed(result[name]);
        if (!text)
          return;
        const file = this._save(`${name}.txt`, Buffer.from(cut(text, TEXT_LIMIT)));
        list.push([name, 'text/plain', file, fs.statSync(file).size, 'output']);
      });
    }
    return list;
  }

  _save(name, body) {
    const safe = name.replace(/[^\w.-]+/g, '-').slice(-80) || 'attachment';
    const file = path.join(settings.attachments, `${process.pid}-${++this._files}-${safe}`);
    fs.writeFileSync(file, body);
    return file;
  }

  onError(error) {
    this._guard(() => {
      const line = this._failure(error);
      if (/maximum allowed failures/.test(line.message))
        this._stopped = firstLine(line.message);
      else
        this._errors.push(line);
      this._write({ t: 'error', stopped: /maximum allowed failures/.test(line.message), ...line });
    });
  }

  async onEnd(result) {
    this._guard(() => {
      if (settings.mode !== 'list') {
        for (const test of this._suite.allTests()) {
          if (this._ids.has(test.id) && !test.results.length)
            this._write({ t: 'left', id: test.id, retry: 0, retries: 0, reason: this._neverRan(test, result) });
        }
        this._outside();
      }
      this._write({ t: 'end', status: result.status });
    });
  }

  /** Failures of tests that were not asked for: setup and teardown projects that Playwright ran along. */
  _outside() {
    for (const [variant, failures] of this._failedProjects) {
      for (const [test, message] of failures) {
        if (!this._ids.has(test.id))
          this._write({ t: 'outside', variant, title: this._titles(test).join(' \u203a '), message });
      }
    }
  }

  /** Why a test has no result at all. */
  _neverRan(test, result) {
    const needed = this._failedNeed(this._variant(test), new Set());
    if (needed) {
      const [[failed, message]] = this._failedProjects.get(needed);
      return `setup project "${needed}" failed: "${this._titles(failed).join(' \u203a ')}": ${message}`;
    }
    if (this._stopped)
      return `stopped after ${this._config.maxFailures} failures (maxFailures)`;
    if (result.status === 'interrupted')
      return 'the run was interrupted';
    if (this._errors.length)
      return firstLine(this._errors[0].message);
    return 'Playwright left it out';
  }

  _failedNeed(variant, seen) {
    const project = (this._config.projects || []).find(p => p.name === variant);
    for (const name of (project && project.dependencies) || []) {
      if (seen.has(name))
        continue;
      seen.add(name);
      const failures = this._failedProjects.get(name);
      const found = failures && failures.size ? name : this._failedNeed(name, seen);
      if (found)
        return found;
    }
    return '';
  }

  _write(line) {
    if (this._fd >= 0)
      fs.writeSync(this._fd, JSON.stringify(line) + '\n');
  }

  /** Runs `action`; whatever it throws is told once in the spool and goes no further. */
  _guard(action) {
    if (!settings)
      return;
    try {
      action();
    } catch (e) {
      try {
        if (!this._complained)
          this._write({ t: 'complaint', message: plain(e && e.stack, 2000) });
        this._complained = true;
      } catch (ignored) {
        // Nobody is left to tell.
      }
    }
  }
}

/** The status as Playwright judges it: `test.fail()` turns a failure into a pass and a pass into a failure. */
function statusOf(result, failed) {
  if (failed)
    return result.status === 'passed' ? 'failed' : result.status;
  return result.status === 'skipped' || result.status === 'interrupted' ? result.status : 'passed';
}

function printed(chunks) {
  return (chunks || []).map(chunk => typeof chunk === 'string' ? chunk : chunk.toString('utf8')).join('');
}

/** Texts and regular expressions as Playwright's own reports write them. */
function patterns(found) {
  return (Array.isArray(found) ? found : found ? [found] : [])
      .map(one => typeof one === 'string' ? { s: one } : { r: { source: one.source, flags: one.flags } });
}

function seconds(date) {
  return date ? date.getTime() / 1000 : 0;
}

function failedBeforeAll(step) {
  return (step.category === 'hook' && !!step.error && /beforeAll/.test(step.title)) || (step.steps || []).some(failedBeforeAll);
}

module.exports = ResitReporter;
