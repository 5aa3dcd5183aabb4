// oauth4webapi, which leaves nothing unchecked and adds nothing: every request and answer by itself.
import assert from 'node:assert/strict';
import * as oauth from 'oauth4webapi';
import { agree, authorize, run, withPage } from './browser.mjs';

const callback = 'https://app.example.com/callback';

async function discover({ issuer }) {
  const url = new URL(issuer);
  for (const algorithm of ['oidc', 'oauth2']) {
    const server = await oauth.processDiscoveryResponse(url, await oauth.discoveryRequest(url, { algorithm }));
    if (algorithm === 'oauth2') return server;
  }
}

// Code, PKCE, state, nonce, iss and max_age; the library checks the claims, and the signature by the published keys.
async function login(page, server, client, authentication, scope, answer) {
  const verifier = oauth.generateRandomCodeVerifier();
  const [state, nonce] = [oauth.generateRandomState(), oauth.generateRandomNonce()];
  const url = new URL(server.authorization_endpoint);
  url.search = new URLSearchParams({
    client_id: client.client_id, redirect_uri: callback, response_type: 'code', scope, state, nonce, max_age: '600',
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier), code_challenge_method: 'S256',
  });
  const back = oauth.validateAuthResponse(server, client, await authorize(page, url, answer), state);
  const response = await oauth.authorizationCodeGrantRequest(server, client, authentication, back, callback, verifier);
  const tokens = await oauth.processAuthorizationCodeResponse(server, client, response, {
    expectedNonce: nonce, maxAge: 600, requireIdToken: true,
  });
  await oauth.validateApplicationLevelSignature(server, response);
  return { tokens, claims: oauth.getValidatedIdTokenClaims(tokens), back, verifier };
}

async function userInfo(server, client, token, sub) {
  return oauth.processUserInfoResponse(server, client, sub, await oauth.userInfoRequest(server, client, token));
}

async function introspect(server, client, authentication, token) {
  return oauth.processIntrospectionResponse(server, client, await oauth.introspectionRequest(server, client, authentication, token));
}

async function revoke(server, client, authentication, token) {
  await oauth.processRevocationResponse(await oauth.revocationRequest(server, client, authentication, token));
}

async function refresh(server, client, authentication, token) {
  const response = await oauth.refreshTokenGrantRequest(server, client, authentication, token);
  const tokens = await oauth.processRefreshTokenResponse(server, client, response);
  if (tokens.id_token) await oauth.validateApplicationLevelSignature(server, response);
  return tokens;
}

async function clientCredentials(server, client, authentication, scope) {
  const response = await oauth.clientCredentialsGrantRequest(server, client, authentication, { scope });
  return oauth.processClientCredentialsResponse(server, client, response);
}

await run({
  async person(input) {
    const server = await discover(input);
    const client = { client_id: 'web', require_auth_time: true };
    const authentication = oauth.ClientSecretBasic(input.secret);
    await withPage(input, async (page) => {
      const { tokens, claims, back, verifier } = await login(
        page, server, client, authentication, 'openid email offline_access books.read', () => agree(page));
      assert.equal(claims.sub, 'alice');
      assert.equal((await userInfo(server, client, tokens.access_token, 'alice')).email, 'alice@example.com');
      const about = await introspect(server, client, authentication, tokens.access_token);
      assert.deepEqual([about.active, about.sub, about.client_id, about.iss], [true, 'alice', 'web', input.issuer]);

      const renewed = await refresh(server, client, authentication, tokens.refresh_token);
      assert.equal(oauth.getValidatedIdTokenClaims(renewed).sub, 'alice');
      await revoke(server, client, authentication, renewed.access_token);
      assert.deepEqual(await introspect(server, client, authentication, renewed.access_token), { active: false });
      await assert.rejects(userInfo(server, client, renewed.access_token, 'alice'),
        (error) => error.code === oauth.WWW_AUTHENTICATE_CHALLENGE && error.cause[0].parameters.error === 'invalid_token');

      const again = await oauth.authorizationCodeGrantRequest(server, client, authentication, back, callback, verifier);
      await assert.rejects(oauth.processAuthorizationCodeResponse(server, client, again), { error: 'invalid_grant' });
      await assert.rejects(refresh(server, client, authentication, tokens.refresh_token), { error: 'invalid_grant' }, 'A23');
    });
  },

  async declined(input) {
    const server = await discover(input);
    const client = { client_id: 'web' };
    await withPage(input, async (page) => {
      const attempt = login(page, server, client, oauth.ClientSecretBasic(input.secret), 'openid email', async () => {
        await page.fill('input[name=username]', 'alice');
        await page.fill('input[name=password]', 'looking-glass');
        await page.click('button[type=submit]');
        await page.click('button[name=decision][value=deny]');
      });
      await assert.rejects(attempt, { code: oauth.AUTHORIZATION_RESPONSE_ERROR, error: 'access_denied' });
    });
  },

  async publicClient(input) {
    const server = await discover(input);
    const client = { client_id: 'spa' };
    await withPage(input, async (page) => {
      const { tokens } = await login(page, server, client, oauth.None(), 'openid email', () => agree(page));
      const renewed = await refresh(server, client, oauth.None(), tokens.refresh_token);
      assert.notEqual(renewed.refresh_token, tokens.refresh_token);
      await revoke(server, client, oauth.None(), renewed.refresh_token);
      await assert.rejects(refresh(server, client, oauth.None(), renewed.refresh_token), { error: 'invalid_grant' });
    });
  },

  // What it gets is a token that an API can check by the keys alone (RFC 9068).
  async service(input) {
    const server = await discover(input);
    const client = { client_id: 'robot' };
    const audience = 'https://books.example.com';
    const tokens = await clientCredentials(server, client, oauth.ClientSecretPost(input.secret), 'books.read');
    const request = new Request(`${audience}/1`, { headers: { authorization: `Bearer ${tokens.access_token}` } });
    const claims = await oauth.validateJwtAccessToken(server, request, audience);
    assert.deepEqual([claims.client_id, claims.sub, claims.scope], ['robot', 'robot', 'books.read']);
    await assert.rejects(clientCredentials(server, client, oauth.ClientSecretPost('wrong'), 'books.read'),
      (error) => error.error === 'invalid_client' || error.code === oauth.WWW_AUTHENTICATE_CHALLENGE);
  },

  // RFC 7523: clients that sign, with a key of their own and with their secret.
  async signers(input) {
    const server = await discover(input);
    const key = await crypto.subtle.importKey('jwk', input.key, { name: 'ECDSA', namedCurve: 'P-256' }, false, ['sign']);
    for (const [id, authentication] of [
      ['signer', oauth.PrivateKeyJwt({ key, kid: input.key.kid })],
      ['sharer', oauth.ClientSecretJwt(input.secret)],
    ]) {
      const client = { client_id: id };
      const { access_token: token } = await clientCredentials(server, client, authentication, 'books.read');
      assert.ok((await introspect(server, client, authentication, token)).active);
      await revoke(server, client, authentication, token);
      assert.ok(!(await introspect(server, client, authentication, token)).active);
    }
  },
});
