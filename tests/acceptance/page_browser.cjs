// Uses the page as a person does, and says what is there: JSON on stdout. Arguments: browser, link, and a folder for pictures, if any are wanted.
const { chromium } = require(require.resolve('playwright-core', { paths: [process.env.MODULES] }));
const axe = require.resolve('axe-core', { paths: [process.env.MODULES] });
const fs = require('fs');

const [executablePath, link, pictures] = process.argv.slice(2);
const said = { errors: [], dialogs: [], foreign: [], axe: {}, wide: [], bytes: 0 };

(async () => {
  const browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] });
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 } });
  const page = await context.newPage();
  page.setDefaultTimeout(30_000);
  page.on('pageerror', error => said.errors.push(String(error)));
  page.on('console', message => { if (message.type() === 'error') said.errors.push(message.text()); });
  page.on('dialog', dialog => { said.dialogs.push(dialog.message()); dialog.dismiss(); });
  const base = new URL(link).origin;
  page.on('request', request => { if (!request.url().startsWith(base) && !request.url().startsWith('data:')) said.foreign.push(request.url()); });

  // In by the link, which the page uses up by itself.
  await page.goto(link);
  await page.waitForURL('**/runs');
  said.empty = await page.locator('main').innerText();

  // A run from the form, followed live.
  await page.getByRole('link', { name: 'Run tests …' }).first().click();
  await page.getByLabel('Why').fill('tried in a browser');
  await page.getByRole('button', { name: 'Run', exact: true }).click();
  await page.waitForURL(/\/runs\/\d+$/);
  const run = page.url();
  await page.locator('.live.on').waitFor();
  await page.locator('[data-grid] canvas').waitFor();
  await page.locator('#legend .s-passed').first().waitFor();
  said.during = await page.locator('#head').innerText();
  await page.reload();
  await page.locator('#head .word.s-failed').waitFor({ timeout: 60_000 });
  await page.locator('[data-key=r]:not([disabled])').waitFor();
  said.head = await page.locator('#head').innerText();
  said.cells = await page.evaluate(async run => (await (await fetch(`${run}/cells`)).json()).cells, run);

  // Why it failed: the error, the picture in place.
  const failure = page.locator('details.failure', { hasText: 'fails with files' });
  if (!(await failure.evaluate(one => one.open))) await failure.locator('summary').click();
  await failure.getByText('Expected:').first().waitFor();
  said.failure = await failure.innerText();
  const shot = failure.locator('img').first();
  await shot.scrollIntoViewIfNeeded();
  await shot.evaluate(image => image.complete || new Promise(done => { image.onload = image.onerror = done; }));
  said.picture = await shot.evaluate(image => image.naturalWidth);
  if (pictures) await page.screenshot({ path: `${pictures}/run.png`, fullPage: true });

  // A cell says what it is.
  const canvas = page.locator('[data-grid] canvas');
  await canvas.focus();
  await page.keyboard.press('ArrowRight');
  await page.locator('.grid .tip', { hasText: ':' }).waitFor();
  said.tip = await page.locator('.grid .tip').innerText();

  // Its trace, in the viewer of its report, when that is made.
  for (let n = 0; n < 60; n++) {
    await page.goto(`${run}/files`);
    if (await page.getByRole('link', { name: 'open', exact: true }).count()) break;
    await page.waitForTimeout(1000);
  }
  await page.goto(run);
  const again = page.locator('details.failure', { hasText: 'fails with files' });
  if (!(await again.evaluate(one => one.open))) await again.locator('summary').click();
  const [trace] = await Promise.all([context.waitForEvent('page'), again.getByRole('link', { name: 'Open the trace' }).first().click()]);
  await trace.getByText('Expect "toBe"').first().waitFor();
  said.traceOrigin = await trace.evaluate(() => self.origin);
  await trace.close();

  // The list, open in another window: what comes, and how it ends, without a reload.
  const list = await context.newPage();
  await list.goto(`${base}/runs`);

  // Keys: run the failed ones again; the source stays.
  const before = await page.locator('#head').innerText();
  await page.locator('h1').click();
  await page.keyboard.press('r');
  await page.waitForURL(url => /\/runs\/\d+$/.test(url.pathname) && url.href !== run);
  said.again = page.url();
  await page.locator('#head .word.s-failed').waitFor({ timeout: 60_000 });
  said.againHead = await page.locator('#head').innerText();
  said.tree = await page.locator('.tree').innerText();
  await list.locator('main tbody tr').nth(1).waitFor();
  await list.locator('main tbody tr').first().locator('.s-failed').waitFor();
  said.list = await list.locator('main tbody tr').allInnerTexts();
  await list.close();
  await page.goto(run);
  const ago = text => text.replace(/just now|\d+ \w+ ago/, '').replace(/With its re-runs.*/s, '').trim();
  said.untouched = ago(await page.locator('#head').innerText()) === ago(before);

  // Search, next, open, help.
  await page.goto(`${base}/runs`);
  await page.keyboard.press('/');
  said.searching = await page.evaluate(() => document.activeElement.id);
  await page.keyboard.press('Escape');
  await page.keyboard.press('j');
  await page.keyboard.press('j');
  await page.keyboard.press('Enter');
  await page.waitForURL(run);
  await page.keyboard.press('?');
  said.help = await page.locator('#help').isVisible();
  await page.keyboard.press('Escape');

  // The log, searched, with colours and without what a terminal would obey.
  await page.goto(`${run}/logs`);
  await page.locator('.log .rows div', { hasText: 'passes' }).first().waitFor();
  await page.getByLabel('Search').fill('fails with files');
  await page.locator('.log mark').first().waitFor();
  said.log = await page.locator('[data-log-found]').innerText();

  // Every page, by a machine that looks for barriers.
  const number = new URL(run).pathname;
  const test = await page.evaluate(async () => (await (await fetch('/projects/shop/tests')).text()).match(/\/projects\/shop\/tests\/[0-9a-f-]{36}/)[0]);
  const paths = ['/runs', '/runs?project=shop', number, `${number}/tests`, `${number}/tests/1`, `${number}/logs`, `${number}/timeline`, `${number}/files`,
    `${number}/details`, '/start?project=shop', '/projects', '/projects/shop', '/projects/shop/tests', test,
    '/projects/shop/schedules', '/projects/shop/snoozes', '/projects/shop/webhooks',
    `/compare?a=${number.split('/').pop()}&b=${said.again.split('/').pop()}`, '/workers', '/settings', '/account', '/runs/999'];
  // Each page once: all rules in light, then what can differ in the dark and on a phone.
  const looks = {
    light: { scheme: 'light', size: { width: 1280, height: 900 }, rules: null },
    dark: { scheme: 'dark', size: { width: 1280, height: 900 }, rules: ['color-contrast'] },
    phone: { scheme: 'light', size: { width: 390, height: 844 }, rules: ['color-contrast', 'scrollable-region-focusable', 'target-size'] },
  };
  const inspect = async (page, path) => {
    await page.goto(base + path);
    await page.addScriptTag({ path: axe }).catch(() => page.evaluate(fs.readFileSync(axe, 'utf8')));
    for (const [look, { scheme, size, rules }] of Object.entries(looks)) {
      await page.emulateMedia({ colorScheme: scheme });
      await page.setViewportSize(size);
      const options = { resultTypes: ['violations'], ...(rules ? { runOnly: { type: 'rule', values: rules } } : {}) };
      const found = await page.evaluate(async options => (await window.axe.run(document, options)).violations, options);
      const bad = found.filter(each => ['serious', 'critical'].includes(each.impact));
      if (bad.length) said.axe[`${look} ${path}`] = bad.map(each => `${each.id}: ${each.nodes.slice(0, 3).map(node => node.target + ' ' + (node.any[0]?.message || '')).join('; ')}`);
      if (pictures) await page.screenshot({ path: `${pictures}/${look}${path.replace(/[^\w]+/g, '-')}.png`, fullPage: true });
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      if (wide > 0) said.wide.push(`${look} ${path}: ${wide} px`);
    }
  };
  for (const path of paths) await inspect(page, path);
  const outside = await browser.newContext({ bypassCSP: true });
  await inspect(await outside.newPage(), '/sign-in');
  await outside.close();
  if (pictures) fs.writeFileSync(`${pictures}/axe.json`, JSON.stringify(said.axe, null, 1));
  said.errors = said.errors.filter(text => !text.includes('Content Security Policy') && !text.includes('404'));

  // A first visit, by what goes over the wire.
  const fresh = await browser.newContext({ storageState: await context.storageState() });
  const first = await fresh.newPage();
  const wire = await fresh.newCDPSession(first);
  await wire.send('Network.enable');
  wire.on('Network.loadingFinished', event => { said.bytes += event.encodedDataLength; });
  await first.goto(run, { waitUntil: 'networkidle' });
  await browser.close();
  console.log(JSON.stringify(said));
})().catch(error => { console.error(error, JSON.stringify(said)); process.exit(1); });
