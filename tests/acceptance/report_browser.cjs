// Opens a report as people do, and says what is there: JSON on stdout. Arguments: browser, address, a file for a picture.
const { chromium } = require(require.resolve('playwright-core', { paths: [process.env.MODULES] }));

const [executablePath, address, picture, ...args] = process.argv.slice(2);

(async () => {
  const browser = await chromium.launch({ executablePath, args: ['--no-sandbox', ...args] });
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 } });
  const page = await context.newPage();
  page.setDefaultTimeout(20_000);
  const said = { errors: [], requests: [] };
  page.on('pageerror', error => said.errors.push(String(error)));
  page.on('request', request => said.requests.push(request.url()));
  const answer = await page.goto(address);
  said.status = answer.status();
  said.at = page.url();
  said.policy = answer.headers()['content-security-policy'] || '';
  if (said.status === 200) {
    await page.locator('.test-file-test').first().waitFor().catch(error => { throw new Error(`${error} ${said.errors}`); });
    said.page = await page.locator('body').innerText();
    said.origin = await page.evaluate(() => self.origin);
    // The failed test, with its picture.
    await page.getByText('fails with files', { exact: true }).first().click();
    await page.getByText('Expected').first().waitFor();
    said.failed = await page.locator('body').innerText();
    const shot = page.locator('img[src*="data/"]').first();
    await shot.waitFor();
    await shot.evaluate(image => image.complete || new Promise(done => { image.onload = image.onerror = done; }));
    said.image = await shot.evaluate(image => [image.naturalWidth, image.naturalHeight, image.src]);
    if (picture) await page.screenshot({ path: picture, fullPage: true });
    const link = page.locator('a[href*="trace/index.html"]').first();
    if (await link.count()) {
      said.traceLink = await link.evaluate(a => a.href);
      const trace = await context.newPage();
      trace.setDefaultTimeout(20_000);
      const opened = await trace.goto(said.traceLink);
      said.tracePolicy = opened.headers()['content-security-policy'] || '';
      if (said.policy) {
        said.trace = await trace.locator('body').innerText();
      } else {
        await trace.getByText('Expect "toBe"').first().waitFor();
        said.trace = await trace.locator('body').innerText();
      }
      if (picture) await trace.screenshot({ path: picture.replace('.png', '-trace.png') });
    }
  }
  await browser.close();
  console.log(JSON.stringify(said));
})().catch(error => { console.error(error); process.exit(1); });
