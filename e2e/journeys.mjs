// What people do in a browser with the Caddyfile.example.
import assert from 'node:assert/strict';
import { decide, inspect, run, shows, signIn, withBrowser, withPage } from './browser.mjs';

const text = (page, id) => page.locator(`#${id}`).innerText();

// A list of names and JSON values on the page of the example's application.
const list = async (page, id) => {
  const [names, values] = await Promise.all(['dt', 'dd'].map((tag) => page.locator(`#${id} ${tag}`).allInnerTexts()));
  return Object.fromEntries(names.map((name, i) => [name, JSON.parse(values[i])]));
};

// Signs in at the gate, from the page that was asked for to the page itself.
async function enter(page, url) {
  await page.goto(url);
  await signIn(page);
  await decide(page, 'allow');
  await shows(page, 'behind');
}

await run({
  // README.md, "See it": sign in, agree, and see what the application received.
  async walk(input) {
    await withPage(input, async (page) => {
      await page.goto(`${input.gate}/`);
      assert.ok(page.url().startsWith(`${input.issuer}/login`), page.url());
      await shows(page, 'login');
      await inspect(page, 'login', input);
      await signIn(page);
      await shows(page, 'consent');
      await inspect(page, 'consent', input);
      await decide(page, 'allow');
      await shows(page, 'behind');
      assert.equal(page.url(), `${input.gate}/`);
      assert.equal(await text(page, 'x-user'), 'alice');
      assert.equal(await text(page, 'x-name'), 'Alice Liddell');
      assert.equal(await text(page, 'x-mail'), 'alice@example.com');
      assert.equal(await text(page, 'x-access'), 'role=employee');
      assert.equal(await text(page, 'url'), '/?who=alice');
      assert.equal((await list(page, 'header')).typ, 'at+jwt');
      const claims = await list(page, 'claims');
      assert.equal(claims.iss, input.issuer);
      assert.equal(claims.aud, 'https://orders.example.com');
      assert.equal(claims.scope, 'orders.read');
      assert.deepEqual(claims.claims, ['read']);
      await inspect(page, 'behind', input);
      // The application sees no cookie of the gate's.
      await page.click('summary');
      const all = await page.locator('details').innerText();
      assert.doesNotMatch(all, /^cookie$/im);
    });
  },

  // Whoever is signed in but has not the role sees a page that says so.
  async forbidden(input) {
    await withPage(input, async (page) => {
      await page.goto(`${input.gate}/orders?id=7`);
      await signIn(page, 'bob');
      await decide(page, 'allow');
      await shows(page, 'error');
      await inspect(page, 'forbidden', input);
      // The page has a way to another account, which leads back to where the person wanted to go.
      await page.click('main button');
      await signIn(page);
      await decide(page, 'allow');
      await shows(page, 'behind');
      assert.equal(page.url(), `${input.gate}/orders?id=7`);
    });
  },

  async decline(input) {
    await withPage(input, async (page) => {
      await page.goto(`${input.gate}/orders?id=7`);
      await signIn(page);
      await decide(page, 'deny');
      await shows(page, 'error');
      assert.ok(page.url().startsWith(`${input.gate}/orders`), page.url());
      await inspect(page, 'declined', input);
      // Trying again asks again, since nothing was agreed to; the sign-in itself is still good.
      await page.click('main a');
      await decide(page, 'allow');
      await shows(page, 'behind');
      assert.equal(page.url(), `${input.gate}/orders?id=7`);
    });
  },

  async wrongPassword(input) {
    await withPage(input, async (page) => {
      await page.goto(`${input.gate}/`);
      await signIn(page, 'alice', 'through the wall');
      await shows(page, 'login');
      assert.equal(await page.inputValue('input[name=username]'), 'alice');
      assert.equal(await page.inputValue('input[name=password]'), '');
      assert.equal(await page.getAttribute('input[name=password]', 'aria-invalid'), 'true');
      const known = await page.locator('#notice').innerText();
      await inspect(page, 'wrong-password', input);
      await signIn(page, 'nobody', 'through the wall');
      assert.equal(await page.locator('#notice').innerText(), known, 'the answer tells which names exist');
      await signIn(page);
      await shows(page, 'consent');
    });
  },

  // From each page of the flow, back and on again.
  async backButton(input) {
    await withPage(input, async (page) => {
      await page.goto(`${input.gate}/`);
      await signIn(page);
      await shows(page, 'consent');
      await page.goBack();
      await signIn(page);
      await decide(page, 'allow');
      await shows(page, 'behind');
      await page.goBack();
      // A page that was answered can't be answered again (A28); who is signed in stays so.
      await decide(page, 'allow');
      await shows(page, 'error');
      await page.goto(`${input.gate}/`);
      await shows(page, 'behind');
    });
  },

  // Two tabs ask for different pages before either is signed in; both end up where they wanted.
  async twoTabs(input) {
    await withPage(input, async (first, context) => {
      const second = await context.newPage();
      await first.goto(`${input.gate}/first?n=1`);
      await second.goto(`${input.gate}/second?n=2`);
      await signIn(first);
      await signIn(second);
      await decide(first, 'allow');
      await decide(second, 'allow');
      await shows(first, 'behind');
      await shows(second, 'behind');
      assert.equal(first.url(), `${input.gate}/first?n=1`);
      assert.equal(second.url(), `${input.gate}/second?n=2`);
    });
  },

  async deepLink(input) {
    await withPage(input, async (page) => {
      const url = `${input.gate}/shelf/caf%C3%A9%20%26%20tea?q=a%20b&q=c&state=mine&code=mine&who=mallory#part`;
      await enter(page, url);
      // The fragment never leaves the browser, which carries it through the redirects.
      assert.equal(page.url().replace(/#.*/, ''), url.replace(/#.*/, ''));
      const seen = new URL(await text(page, 'url'), input.gate);
      assert.deepEqual(seen.searchParams.getAll('who'), ['alice'], 'the client chose an injected parameter');
      assert.deepEqual(seen.searchParams.getAll('q'), ['a b', 'c']);
      assert.equal(seen.searchParams.get('code'), 'mine');
    });
  },

  async logout(input) {
    await withPage(input, async (page, context) => {
      await enter(page, `${input.gate}/`);
      const before = await context.cookies();
      assert.ok(before.every((cookie) => cookie.secure && cookie.httpOnly), JSON.stringify(before.map((c) => c.name)));
      await page.click('text=Sign out');
      await shows(page, 'logged-out');
      await inspect(page, 'logged-out', input);
      // Old cookies are worth nothing, at the gate and at the issuer (A66).
      await context.addCookies(before);
      await page.goto(`${input.gate}/`);
      await shows(page, 'login');
    });
  },

  // Another site may not sign somebody out: there the gate asks first.
  async logoutFromElsewhere(input) {
    await withPage(input, async (page) => {
      await enter(page, `${input.gate}/`);
      await page.goto('about:blank');
      await page.setContent(`<a href="${input.gate}/.authz/logout">Free books</a>`);
      await page.click('a');
      await shows(page, 'logout');
      await inspect(page, 'logout', input);
      await page.click('button');
      await shows(page, 'logged-out');
      await page.goto(`${input.gate}/`);
      await shows(page, 'login');
    });
  },

  // An application that is still open in a tab when the session is gone: its scripts get a 401 that
  // plants no cookie, never a redirect (A68).
  async script(input) {
    await withPage(input, async (page, context) => {
      await enter(page, `${input.gate}/`);
      const status = (path) => page.evaluate(async (to) => (await fetch(to)).status, path);
      assert.equal(await status('/orders'), 200);
      await context.clearCookies();
      assert.equal(await status('/orders'), 401);
      assert.deepEqual(await context.cookies(), []);
    });
  },

  // The issuer's error page: a request that may not be redirected anywhere.
  async errorPage(input) {
    await withPage(input, async (page) => {
      const answer = await page.goto(`${input.issuer}/authorize?client_id=nobody&response_type=code`);
      assert.equal(answer.status(), 400);
      await shows(page, 'error');
      assert.match(await text(page, 'reference'), /^\S+$/);
      await inspect(page, 'error', input);
    });
  },

  async german(input) {
    await withPage(input, async (page) => {
      await page.goto(`${input.gate}/`);
      assert.equal(await page.getAttribute('html', 'lang'), 'de');
      await inspect(page, 'login-de', input);
      await signIn(page);
      await decide(page, 'deny');
      assert.equal(await page.getAttribute('html', 'lang'), 'de');
    }, { locale: 'de-DE' });
  },

  // By keyboard alone.
  async keyboard(input) {
    await withPage(input, async (page) => {
      await page.goto(`${input.gate}/`);
      await shows(page, 'login');
      await page.keyboard.type('alice'); // the first field has the focus
      await page.keyboard.press('Tab');
      await page.keyboard.type('looking-glass');
      await page.keyboard.press('Enter');
      await page.waitForURL(`${input.issuer}/consent**`);
      await page.keyboard.press('Tab'); // Deny stands first
      await page.keyboard.press('Tab');
      await page.keyboard.press('Enter');
      await page.waitForURL(`${input.gate}/`);
      await shows(page, 'behind');
    });
  },

  async withoutScripts(input) {
    await withPage(input, async (page) => {
      await enter(page, `${input.gate}/`);
      assert.equal(await text(page, 'x-user'), 'alice');
    }, { javaScriptEnabled: false });
  },

  // examples/single-sign-on: one password for all applications, each with its own gate.
  async singleSignOn(input) {
    const { port } = new URL(input.issuer);
    await withPage(input, async (page) => {
      await page.goto(`https://wiki.localhost:${port}/`);
      await signIn(page);
      await decide(page, 'allow');
      await shows(page, 'behind');
      await page.goto(`https://archive.localhost:${port}/`);
      await shows(page, 'behind');
      assert.equal(await text(page, 'authorization'), `Basic ${btoa('alice:made-up-password-of-the-archive')}`);
      const answer = await page.goto(`https://payroll.localhost:${port}/`);
      assert.equal(answer.status(), 403);
      await shows(page, 'error');
    });
  },

  // Decision 10: one host name has one cookie jar for all its ports.
  async twoGates(input) {
    await withBrowser(input, async (browser) => {
      const context = await browser.newContext();
      const [first, second] = [await context.newPage(), await context.newPage()];
      for (const [page, gate] of [[first, input.gate], [second, input.other]]) {
        await page.goto(`${gate}/`);
        if (await page.locator('main#login').count() > 0) await signIn(page);
        if (await page.locator('main#consent').count() > 0) await decide(page, 'allow');
        await shows(page, 'behind');
      }
      // Each of them goes on with its own session, however often they take turns.
      for (const [page, gate] of [[first, input.gate], [second, input.other], [first, input.gate]]) {
        const answer = await page.goto(`${gate}/again`);
        assert.equal(answer.request().redirectedFrom(), null, 'it had to sign in again');
        await shows(page, 'behind');
      }
      const names = (await context.cookies()).map((cookie) => cookie.name);
      assert.equal(new Set(names).size, names.length, 'two sites share a cookie');
      // Signing out of one ends its own session at once.
      await first.click('text=Sign out');
      await shows(first, 'logged-out');
      await first.goto(`${input.gate}/`);
      await shows(first, 'login');
    });
  },
});
