// examples/spa in a browser: a web page that signs people in with oidc-client-ts.
import assert from 'node:assert/strict';
import { inspect, run, shows, signIn, withPage } from './browser.mjs';

const says = (page, text) => page.locator('#who', { hasText: text }).waitFor();

// Calls a function of the page's own manager, and returns what tells tokens apart.
const renew = (page, options) => page.evaluate(async (how) => {
  const { manager } = await import('/app.js');
  const { access_token: access, refresh_token: refresh, profile } = await manager.signinSilent(how);
  return { access, refresh, sub: profile.sub };
}, options);

const orders = (page, token) => page.evaluate(async (bearer) => {
  const answer = await fetch('/api/orders', { headers: { Authorization: `Bearer ${bearer}` } });
  return { status: answer.status, text: await answer.text() };
}, token);

await run({
  async walk(input) {
    await withPage(input, async (page, context) => {
      const problems = [];
      const watch = (tab) => {
        tab.on('pageerror', (error) => problems.push(error.message));
        tab.on('console', (message) => message.type() === 'error' && problems.push(message.text()));
      };
      watch(page);
      await page.goto(input.gate);
      await says(page, 'not signed in');
      await page.click('#sign-in');
      await page.waitForURL(`${input.issuer}/login**`);
      await signIn(page);
      await says(page, 'Hello, Alice Liddell.');
      assert.equal(page.url(), `${input.gate}/`, 'the code is gone from the address');
      await page.click('#orders');
      await page.locator('#answer', { hasText: 'Orders of alice' }).waitFor();
      await inspect(page, 'spa', input);

      // By its refresh token, which rotates, and by a frame, which gets tokens of a login of its own.
      const first = await renew(page);
      const second = await renew(page);
      assert.notEqual(second.refresh, first.refresh);
      assert.notEqual(second.access, first.access);
      const framed = await renew(page, { forceIframeAuth: true });
      assert.equal(framed.sub, 'alice');
      assert.equal((await orders(page, framed.access)).text, 'Orders of alice: a looking-glass');
      await page.reload();
      await says(page, 'Hello, Alice Liddell.');

      const other = await context.newPage();
      watch(other);
      await other.goto(input.gate);
      await says(other, 'Hello, Alice Liddell.');
      await other.close();
      assert.deepEqual(problems, []);

      await page.click('#sign-out');
      await page.waitForURL(`${input.issuer}/logout**`);
      await shows(page, 'logout');
      await page.click('button[name=decision][value=logout]');
      await says(page, 'not signed in');
      assert.equal((await orders(page, framed.access)).status, 401, 'it was revoked');
      await assert.rejects(renew(page, { forceIframeAuth: true }), /not signed in/);
    });
  },
});
