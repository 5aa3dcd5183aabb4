// Walks through gates whose issuer is another product's (provider.mjs).
import assert from 'node:assert/strict';
import { decide, run, shows, signIn, withPage } from './browser.mjs';

// Signs in at the provider's own pages.
async function signInElsewhere(page, username) {
  await page.fill('input[name=login]', username);
  await page.fill('input[name=password]', 'anything');
  await page.click('button[type=submit]');
  await page.click('button[type=submit]'); // consent
}

await run({
  async walk(input) {
    return withPage(input, async (page, context) => {
      await page.goto(`${input.gate}/page?x=1`);
      assert.ok(page.url().startsWith(input.provider), page.url());
      await signInElsewhere(page, 'carol');
      await page.waitForURL(`${input.gate}/page?x=1`);
      const text = await page.innerText('body');
      assert.match(text, /^user=carol mail=carol@elsewhere.example /);
      assert.match(text, /authorization=Bearer \S+/);
      // Another tab is signed in, too, and a script gets no redirect but the answer.
      const tab = await context.newPage();
      await tab.goto(`${input.gate}/other`);
      assert.match(await tab.innerText('body'), /^user=carol /);
      // The callback is the gate's own, and nobody's login.
      await tab.goto(`${input.gate}/.authz/callback?code=x&state=gw-x`);
      assert.equal(await tab.locator('main').getAttribute('id') !== null, true);
      await tab.close();
      // Signing out ends both sessions, also by the button, which is there where another site has the link.
      await page.goto('about:blank');
      await page.setContent(`<a href="${input.gate}/.authz/logout">Free books</a>`);
      await page.click('a');
      await page.click('button');
      await page.waitForURL((url) => url.href.startsWith(`${input.provider}/session/end`));
      await page.click('button[value=yes]');
      await page.goto(`${input.gate}/page`);
      assert.ok(page.url().startsWith(input.provider), `asks again: ${page.url()}`);
      return text;
    });
  },

  // Who may not pass can be somebody else, whom the issuer asks for though it knows the first.
  async another(input) {
    return withPage(input, async (page) => {
      await page.goto(`${input.gate}/page?x=1`);
      await signInElsewhere(page, 'mallory');
      await shows(page, 'error');
      await page.click('main button');
      await page.waitForURL((url) => url.href.startsWith(`${input.provider}/interaction`));
      await signInElsewhere(page, 'carol');
      await page.waitForURL(`${input.gate}/page?x=1`);
      assert.match(await page.innerText('body'), /^user=carol /);
    });
  },

  // The pages of examples/gateway.
  async gateway(input) {
    return withPage(input, async (page) => {
      await page.goto(`${input.gate}/`);
      await signIn(page);
      await decide(page, 'allow');
      assert.match(await page.innerText('body'), /user: alice\s+name: Alice Liddell/);
      await page.goto(`${input.gate}/stock/list`);
      assert.match(await page.innerText('body'), /\/stock\/list\s+user: alice/);
      const refused = await page.goto(`${input.warehouse}/list`);
      assert.equal(refused.status(), 401, 'the warehouse takes tokens, and no cookies');
      await page.goto(`${input.gate}/partner/`);
      assert.ok(page.url().startsWith(`${input.partner}/login`), page.url());
      await signIn(page, 'carol');
      await decide(page, 'allow');
      assert.match(await page.innerText('body'), /\/partner\/\s+user: carol of the partner\s+name: Carol Partner/);
      await page.goto(`${input.gate}/`);
      assert.match(await page.innerText('body'), /user: alice/, 'each issuer has its own sessions');
    });
  },

  // Leaves the pages of the issuer by its cancel link: a page of the gate's, and no loop.
  async cancel(input) {
    return withPage(input, async (page) => {
      await page.goto(`${input.gate}/page`);
      await page.click('text=Cancel');
      assert.ok(page.url().startsWith(`${input.gate}/.authz/callback`), page.url());
      await shows(page, 'error');
    });
  },
});
