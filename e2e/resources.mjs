// An OpenID client asks for tokens of resource servers with keys of their own; one in Node reads them.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { compactDecrypt, createRemoteJWKSet, importJWK, jwtVerify } from 'jose';
import * as openid from 'openid-client';
import { authorize, decide, inspect, run, shows, signIn, withPage } from './browser.mjs';

const algorithms = { RS1: 'ECDH-ES+A256KW', RS2: 'RSA-OAEP-256', RS3: 'ECDH-ES+A256KW' };

const client = (input, id) => openid.discovery(new URL(input.issuer), id, input.secrets[id]);

// Decrypts an access token with the resource server's own key, and verifies it with the published keys.
async function opened(input, config, token, name) {
  const alg = algorithms[name];
  const { keys: [own] } = JSON.parse(readFileSync(path.join(input.dir, `${name}.private.json`), 'utf8'));
  const { plaintext, protectedHeader } = await compactDecrypt(token, await importJWK(own, alg), {
    keyManagementAlgorithms: [alg], contentEncryptionAlgorithms: ['A256GCM'],
  });
  assert.equal(protectedHeader.cty, 'JWT');
  assert.equal(protectedHeader.kid, own.kid);
  assert.ok(!('zip' in protectedHeader));
  const { payload } = await jwtVerify(
    new TextDecoder().decode(plaintext), createRemoteJWKSet(new URL(config.serverMetadata().jwks_uri)),
    { issuer: input.issuer, audience: input.audiences[name], typ: 'at+jwt', algorithms: ['ES256'], requiredClaims: ['exp', 'sub', 'client_id'] },
  );
  return payload;
}

// The code flow with PKCE, the pages answered by answer.
async function codeFlow(page, config, parameters, answer = () => {}) {
  const verifier = openid.randomPKCECodeVerifier();
  const state = openid.randomState();
  const back = await authorize(page, openid.buildAuthorizationUrl(config, {
    redirect_uri: `${config.serverMetadata().issuer}/callback`, state,
    code_challenge: await openid.calculatePKCECodeChallenge(verifier), code_challenge_method: 'S256', ...parameters,
  }), answer);
  return openid.authorizationCodeGrant(config, back, { pkceCodeVerifier: verifier, expectedState: state });
}

await run({
  // Asks for Scope1 in every grant. All tokens have to be for input.recipient, which the Go side checks again.
  async scenario(input) {
    const parameters = { scope: 'Scope1', ...(input.named && { resourceServer: input.named }) };
    const [shop, robot] = [await client(input, 'shop'), await client(input, 'robot')];
    const code = await withPage(input, (page) => codeFlow(page, shop, parameters, () => signIn(page)));
    const grants = {
      code,
      refresh: await openid.refreshTokenGrant(shop, code.refresh_token),
      password: await openid.genericGrantRequest(shop, 'password', { username: 'alice', password: 'looking-glass', ...parameters }),
      service: await openid.clientCredentialsGrant(robot, parameters),
    };
    for (const [grant, { access_token: token }] of Object.entries(grants)) {
      const payload = await opened(input, shop, token, input.recipient);
      assert.equal(payload.scope, 'Scope1', grant);
      assert.equal(payload.sub, grant === 'service' ? 'robot' : 'alice', grant);
    }
    // A refresh may name another resource server, where the grant named none (RFC 8707 §2.2).
    for (const other of [{ resourceServer: 'RS3' }, { resource: input.audiences.RS3 }]) {
      const refreshed = openid.refreshTokenGrant(shop, code.refresh_token, other);
      if (input.named) await assert.rejects(refreshed, { error: 'invalid_target' });
      else assert.equal((await opened(input, shop, (await refreshed).access_token, 'RS3')).scope, 'Scope1');
    }
    return Object.fromEntries(Object.entries(grants).map(([grant, { access_token: token }]) => [grant, token]));
  },

  // A check box is cleared; then only what is new is asked, and at last nothing.
  async consent(input) {
    const config = await client(input, 'shop');
    await withPage(input, async (page) => {
      const asked = () => page.locator('main li, main label').allInnerTexts();
      const granted = async (scope, answer) => {
        const tokens = await codeFlow(page, config, { scope }, answer);
        assert.equal((await opened(input, config, tokens.access_token, 'RS3')).scope, tokens.scope);
        return tokens.scope;
      };
      const declined = await granted('openid loans wishes', async () => {
        await signIn(page);
        await shows(page, 'consent');
        assert.deepEqual(await asked(), ['See what you borrowed', 'See your wishes']);
        await inspect(page, 'consent-optional', input);
        await page.getByLabel('See your wishes').uncheck();
        await decide(page, 'allow');
      });
      assert.equal(declined, 'openid loans');
      const more = await granted('openid loans fines', async () => {
        await shows(page, 'consent');
        assert.deepEqual(await asked(), ['See what you owe']);
        await inspect(page, 'consent-new', input);
        await decide(page, 'allow');
      });
      assert.equal(more, 'openid loans fines');
      assert.equal(await granted('openid loans fines'), 'openid loans fines');
    });
  },
});
