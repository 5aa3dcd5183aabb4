// Walks through gates whose issuer is another product's (provider.mjs).
import assert from 'node:assert/strict';
import { run, shows, withPage } from './browser.mjs';

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
      // Signing out ends both sessions.
      await page.goto(`${input.gate}/.authz/logout`);
      assert.ok(page.url().startsWith(`${input.provider}/session/end`), page.url());
      await page.click('button[value=yes]');
      await page.goto(`${input.gate}/page`);
      assert.ok(page.url().startsWith(input.provider), `asks again: ${page.url()}`);
      return text;
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
