// People of a directory in a browser.
import assert from 'node:assert/strict';
import * as openid from 'openid-client';
import { authorize, decide, inspect, run, shows, signIn, withPage } from './browser.mjs';

const callback = 'https://shop.example.com/callback';

// An authorization request, and what is needed to redeem the code that comes of it.
async function request(config) {
  const [pkceCodeVerifier, expectedState, expectedNonce] = [openid.randomPKCECodeVerifier(), openid.randomState(), openid.randomNonce()];
  const url = openid.buildAuthorizationUrl(config, {
    redirect_uri: callback, scope: 'openid email', state: expectedState, nonce: expectedNonce,
    code_challenge: await openid.calculatePKCECodeChallenge(pkceCodeVerifier), code_challenge_method: 'S256',
  });
  return { url, checks: { pkceCodeVerifier, expectedState, expectedNonce, idTokenExpected: true } };
}

await run({
  // Signs in, agrees, and returns the tokens and what userinfo says.
  async consent(input) {
    const config = await openid.discovery(new URL(input.issuer), 'shop', input.secret, openid.ClientSecretBasic(input.secret));
    return withPage(input, async (page) => {
      const { url, checks } = await request(config);
      const back = await authorize(page, url, async () => {
        await inspect(page, `${input.name}-login`, input);
        await signIn(page, input.name, input.password);
        await shows(page, 'consent');
        await inspect(page, `${input.name}-consent`, input);
        await decide(page, 'allow');
      });
      const tokens = await openid.authorizationCodeGrant(config, back, checks);
      const userinfo = await openid.fetchUserInfo(config, tokens.access_token, tokens.claims().sub);

      // What was agreed to is in the directory: nobody is asked again.
      const again = await page.request.get((await request(config)).url.href, { maxRedirects: 0 });
      assert.match(again.headers().location ?? '', /^https:\/\/shop\.example\.com\/callback\?.*code=/);
      return { refresh_token: tokens.refresh_token, access_token: tokens.access_token, userinfo };
    });
  },

  // Signs in as people who may not, and returns what each of them is told.
  async refused(input) {
    const config = await openid.discovery(new URL(input.issuer), 'shop', input.secret);
    return withPage(input, async (page) => {
      const told = [];
      for (const [name, password] of input.people) {
        await page.goto((await request(config)).url.href);
        await signIn(page, name, password);
        await shows(page, 'login');
        told.push(await page.locator('#notice').innerText());
        if (name === input.inspect) await inspect(page, `refused-${name}`, input);
      }
      return told;
    });
  },

  // examples/ldap: signs in, agrees, and returns the code that the page shows.
  async code(input) {
    return withPage(input, async (page) => {
      await page.goto(input.url);
      await signIn(page);
      await decide(page, 'allow');
      await inspect(page, 'code', input);
      return page.locator('#code').innerText();
    });
  },
});
