// A Chromium for the end-to-end tests, and the frame in which Go runs one function of a script.
import assert from 'node:assert/strict';
import { createHash, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { AxeBuilder } from '@axe-core/playwright';
import { chromium } from 'playwright-core';

// Runs the function that standard input names, and writes what it returns to standard output.
export async function run(functions) {
  const input = JSON.parse(readFileSync(0, 'utf8'));
  const result = await functions[input.function](input);
  if (result !== undefined) process.stdout.write(JSON.stringify(result));
}

// Calls back with a browser. It takes only certificates of the Caddy at hand: Chromium pins keys of
// what the server sends, which is the intermediate certificate and not the root.
export async function withBrowser({ intermediate }, use) {
  const { publicKey } = new X509Certificate(readFileSync(intermediate));
  const pin = createHash('sha256').update(publicKey.export({ type: 'spki', format: 'der' })).digest('base64');
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
      '--disable-component-update', '--disable-sync', `--ignore-certificate-errors-spki-list=${pin}`],
  });
  try {
    return await use(browser);
  } finally {
    await browser.close();
  }
}

export async function withPage(input, use, options = {}) {
  return withBrowser(input, async (browser) => {
    const context = await browser.newContext({ viewport: { width: 800, height: 720 }, ...options });
    return use(await context.newPage(), context);
  });
}

// Asserts which of the product's pages is shown, by the id of <main>.
export async function shows(page, id) {
  assert.equal(await page.locator('main').getAttribute('id'), id, `${page.url()}\n${await page.locator('body').innerText()}`);
}

export async function signIn(page, username = 'alice', password = 'looking-glass') {
  await shows(page, 'login');
  await page.fill('input[name=username]', username);
  await page.fill('input[name=password]', password);
  await page.click('button[type=submit]');
}

export async function decide(page, decision) {
  await shows(page, 'consent');
  await page.click(`button[name=decision][value=${decision}]`);
}

// Sends a browser to an authorization request, has the pages answered, and returns where it ends up:
// nobody is at the callback, so it is caught.
export async function authorize(page, url, answer, callback = url.searchParams.get('redirect_uri')) {
  await page.route(`${callback}**`, (route) => route.fulfill({ body: 'back' }));
  await page.goto(url.href);
  await answer();
  await page.waitForURL(`${callback}**`);
  return new URL(page.url());
}

// Signs in and agrees to everything.
export async function agree(page) {
  await signIn(page);
  await decide(page, 'allow');
}

const levels = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'];

// Keeps what a page looks like, light, dark and on a narrow screen, and asserts that it is accessible
// in both schemes and fits the narrow screen.
export async function inspect(page, name, { shots }) {
  const keep = (look) => page.screenshot({ path: path.join(shots, `${name}-${look}.png`), fullPage: true });
  for (const colorScheme of ['dark', 'light']) {
    await page.emulateMedia({ colorScheme });
    await keep(colorScheme);
    const { violations } = await new AxeBuilder({ page }).withTags(levels).analyze();
    assert.deepEqual(violations.map(({ id, nodes }) => [id, nodes.map((node) => node.html)]), [], `${name}, ${colorScheme}`);
  }
  const size = page.viewportSize();
  await page.setViewportSize({ width: 320, height: size.height });
  await keep('320');
  const overflow = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  assert.equal(overflow, 0, `${name} is wider than a narrow screen`);
  await page.setViewportSize(size);
}
