'use strict';
/**
 * How Playwright's own dispatcher takes a batch: longest groups first, and no more starts of workers at once than the
 * machine has processors. Required by Resit's reporter, in the main process of a run with several workers.
 *
 * Which tests run is never changed, nor the order inside of a group that Playwright executes as one. What is touched is
 * not public: each step looks first whether things are as they were found in the versions that were tried, and leaves
 * Playwright as it is where they are not. Node's own modules only.
 */
const childProcess = require('child_process');
const fs = require('fs');
const os = require('os');
const path = require('path');

const GATE = path.join(__dirname, 'resit_gate.sh');
const TOKEN = '\n';
const PATIENCE = 2000; // milliseconds that a worker may take to its first test before the next one starts

/**
 * From 1.62, between the choice of the tests and the making of the groups: the project suites name their tests longest
 * group first. Playwright makes one group of a file's neighbours, so the tests of each group are given a file name of
 * their own, equal in value; unless files are to stay `whole`. Returns what puts everything back, to be called when the groups are made.
 */
function orderSuites(root, seconds, workers, whole) {
  const changed = [];
  for (const project of root.suites) {
    const tests = project.allTests();
    if (!tests.every(known))
      continue;
    const groups = [...grouped(tests).values()];
    const weights = new Map(groups.map(group => [group, weight(group, seconds, workers)]));
    groups.sort((a, b) => weights.get(b) - weights.get(a));
    const places = new Map();
    for (const group of groups) {
      // eslint-disable-next-line no-new-wrappers
      const file = whole ? group.tests[0]._requireFile : new String(group.tests[0]._requireFile);
      for (const test of group.tests) {
        places.set(test, places.size);
        changed.push([test, test._requireFile]);
        test._requireFile = file;
      }
    }
    const natural = project.allTests;
    // Others may exclude tests after us, so that this is asked again each time.
    project.allTests = () => natural.call(project).sort((a, b) => (places.get(a) || 0) - (places.get(b) || 0));
  }
  return () => {
    for (const project of root.suites)
      delete project.allTests;
    for (const [test, file] of changed)
      test._requireFile = file;
  };
}

function known(test) {
  if (typeof test._requireFile !== 'string' || typeof test._workerHash !== 'string')
    return false;
  for (let parent = test.parent; parent; parent = parent.parent) {
    if (typeof parent._parallelMode !== 'string' || !Array.isArray(parent._hooks))
      return false;
  }
  return true;
}

/** The tests as Playwright's createTestGroups puts them together. */
function grouped(tests) {
  const groups = new Map();
  const names = new Map(); // suite or test that is executed as one -> its number
  for (const test of tests) {
    let parallel = false, hooks = false, sequential = null;
    for (let parent = test.parent; parent; parent = parent.parent) {
      if (parent._parallelMode === 'serial' || parent._parallelMode === 'default')
        sequential = parent;
      parallel = parallel || parent._parallelMode === 'parallel';
      hooks = hooks || parent._hooks.some(hook => hook.type === 'beforeAll' || hook.type === 'afterAll');
    }
    let kind = 'general';
    if (parallel && hooks && !sequential) {
      kind = 'shared';
    } else if (parallel) {
      const one = sequential || test;
      if (!names.has(one))
        names.set(one, names.size);
      kind = `parallel ${names.get(one)}`;
    }
    const key = [test._workerHash, test._requireFile, kind].join('\n');
    if (!groups.has(key))
      groups.set(key, { tests: [], shared: kind === 'shared' });
    groups.get(key).tests.push(test);
  }
  return groups;
}

function weight(group, seconds, workers) {
  const sum = group.tests.reduce((all, test) => all + seconds(test), 0);
  return group.shared ? sum / Math.min(workers, group.tests.length) : sum; // Playwright cuts it over the workers
}

/** Before 1.62, where the dispatcher is a module of its own: it is handed its groups longest first. */
function orderGroups(seconds) {
  const name = path.join('playwright', 'lib', 'runner', 'dispatcher.js');
  const found = Object.keys(require.cache).find(file => file.endsWith(path.sep + name));
  const dispatcher = found && require.cache[found].exports.Dispatcher;
  const natural = dispatcher && dispatcher.prototype.run;
  if (typeof natural !== 'function')
    return;
  dispatcher.prototype.run = function(groups, ...rest) {
    try {
      if (Array.isArray(groups) && groups.every(group => Array.isArray(group.tests) && typeof group.workerHash === 'string')) {
        const hashes = new Map(); // a change of the hash costs a new worker
        const weights = new Map();
        for (const group of groups) {
          if (!hashes.has(group.workerHash))
            hashes.set(group.workerHash, hashes.size);
          weights.set(group, group.tests.reduce((all, test) => all + seconds(test), 0));
        }
        groups = groups.slice().sort((a, b) => hashes.get(a.workerHash) - hashes.get(b.workerHash) || weights.get(b) - weights.get(a));
      }
    } catch (e) {
      // As they are, then.
    }
    return natural.call(this, groups, ...rest);
  };
}

/**
 * The processors are given to a few starting workers at a time, so that the first ones execute tests while the others
 * are still to start: a start is nothing but processor time, and tests mostly wait.
 *
 * A worker starts through a shell that first takes a token from a FIFO. The token is put back when the worker tells of
 * its first test, when it ends, or when it takes too long. Without a main process the FIFO is at its end, and the shell
 * goes on: nothing waits for ever.
 */
function stageStarts(fifo) {
  const most = typeof os.availableParallelism === 'function' ? os.availableParallelism() : os.cpus().length;
  const ours = fs.openSync(fifo, fs.constants.O_RDWR | fs.constants.O_NONBLOCK);
  const theirs = fs.openSync(fifo, fs.constants.O_RDONLY);
  fs.unlinkSync(fifo);
  const put = count => fs.writeSync(ours, TOKEN.repeat(count));
  put(Math.max(1, most));
  const natural = childProcess.fork;
  childProcess.fork = function(script, options, ...rest) {
    const stdio = options && options.stdio;
    const worker = /[\\/]playwright[\\/]lib[\\/](worker|common)[\\/](workerProcessEntry|process)\.js$/.test(String(script));
    if (!worker || rest.length || !Array.isArray(stdio) || stdio.length !== 4 || stdio[3] !== 'ipc' || options.execPath)
      return natural.call(this, script, options, ...rest);
    const child = natural.call(this, script, {
      ...options,
      execPath: '/bin/sh',
      execArgv: [GATE, process.execPath, ...(options.execArgv || process.execArgv)],
      stdio: [...stdio, theirs],
    });
    let held = true;
    const release = () => {
      if (!held)
        return;
      held = false;
      clearTimeout(timer);
      child.removeListener('message', onMessage);
      try {
        put(1);
      } catch (e) {
        // The next worker waits for another token then.
      }
    };
    const onMessage = message => {
      if (message && message.method === 'ready')
        timer = setTimeout(release, PATIENCE).unref();
      else
        release();
    };
    let timer;
    child.on('message', onMessage);
    child.on('exit', release);
    child.on('error', release);
    return child;
  };
}

module.exports = { orderGroups, orderSuites, stageStarts };
