// An application registers itself, and an administrator manages it.
import assert from 'node:assert/strict';
import http from 'node:http';
import * as openid from 'openid-client';
import { agree, authorize, decide, run, withPage } from './browser.mjs';

const callback = 'https://app.example.com/callback';

async function login(page, config, scope, answer) {
  const verifier = openid.randomPKCECodeVerifier();
  const [state, nonce] = [openid.randomState(), openid.randomNonce()];
  const url = openid.buildAuthorizationUrl(config, {
    redirect_uri: callback, scope, state, nonce,
    code_challenge: await openid.calculatePKCECodeChallenge(verifier), code_challenge_method: 'S256',
  });
  const back = await authorize(page, url, () => answer(page));
  return openid.authorizationCodeGrant(config, back, {
    pkceCodeVerifier: verifier, expectedState: state, expectedNonce: nonce, idTokenExpected: true,
  });
}

// Calls the management endpoint (RFC 7592).
async function manage(uri, token, method = 'GET', body = undefined) {
  const answer = await fetch(uri, {
    method, headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' }, body: body && JSON.stringify(body),
  });
  return { status: answer.status, json: answer.status === 204 ? undefined : await answer.json() };
}

await run({
  async application(input) {
    const config = await openid.dynamicClientRegistration(new URL(input.issuer), {
      redirect_uris: [callback], client_name: 'Jabberwocky', token_endpoint_auth_method: 'client_secret_basic',
      logo_uri: 'https://app.example.com/beacon.png', policy_uri: 'https://app.example.com/privacy', subject_type: 'pairwise',
    }, openid.ClientSecretBasic());
    const about = config.clientMetadata();
    const tokens = await withPage(input, (page) => login(page, config, 'openid email', agree));
    assert.notEqual(tokens.claims().sub, 'alice');
    const person = await openid.fetchUserInfo(config, tokens.access_token, tokens.claims().sub);
    assert.equal(person.email, 'alice@example.com');
    await openid.refreshTokenGrant(config, tokens.refresh_token);

    const { registration_client_uri: uri, registration_access_token: token } = about;
    const read = await manage(uri, token);
    assert.equal(read.json.client_name, 'Jabberwocky');
    const { json: renamed } = await manage(uri, token, 'PUT', { ...members(read.json), client_name: 'Bandersnatch' });
    assert.equal(renamed.client_name, 'Bandersnatch');
    assert.equal((await manage(uri, token, 'DELETE')).status, 204);
    assert.equal((await manage(uri, token)).status, 401);
    await assert.rejects(openid.refreshTokenGrant(config, tokens.refresh_token), { status: 401 });
  },

  // Registers keys of its own instead of being given a secret, and then one to be signed with.
  async signers(input) {
    const pair = await crypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, false, ['sign', 'verify']);
    const key = { ...await crypto.subtle.exportKey('jwk', pair.publicKey), kid: 'own', use: 'sig' };
    for (const [metadata, method] of [
      [{ token_endpoint_auth_method: 'private_key_jwt', token_endpoint_auth_signing_alg: 'ES256', jwks: { keys: [key] } },
        openid.PrivateKeyJwt({ key: pair.privateKey, kid: key.kid })],
      [{ token_endpoint_auth_method: 'client_secret_jwt' }, openid.ClientSecretJwt()],
    ]) {
      const config = await openid.dynamicClientRegistration(new URL(input.issuer), { redirect_uris: [callback], ...metadata }, method);
      const tokens = await withPage(input, (page) => login(page, config, 'openid email', agree));
      assert.equal(tokens.claims().sub, 'alice');
      await openid.refreshTokenGrant(config, tokens.refresh_token);
      assert.ok((await openid.tokenIntrospection(config, tokens.access_token)).active);
      await openid.tokenRevocation(config, tokens.access_token);
      assert.ok(!(await openid.tokenIntrospection(config, tokens.access_token)).active);
    }
  },

  // Registers a service, and the application that registered itself loses its mark.
  async administrator(input) {
    const stranger = await openid.dynamicClientRegistration(new URL(input.issuer), { redirect_uris: [callback], client_name: 'Jabberwocky' });
    const console = await openid.discovery(new URL(input.issuer), 'console', input.secret);
    const { access_token: token } = await withPage(input, (page) => login(page, console, 'openid registration.full', agree));
    const service = await openid.dynamicClientRegistration(new URL(input.issuer), {
      client_id: 'tweedledum', access_type: 'service', scope: 'openid',
    }, undefined, { initialAccessToken: token });
    assert.equal(service.clientMetadata().client_id, 'tweedledum');
    await openid.clientCredentialsGrant(service);
    const { json: list } = await manage(`${input.issuer}/register`, token);
    assert.deepEqual(list.clients.map((c) => [c.client_name, c.created_by]).sort(), [['Jabberwocky', 'self'], [undefined, 'admin']].sort());

    const uri = `${input.issuer}/register/${stranger.clientMetadata().client_id}`;
    const { json } = await manage(uri, token);
    assert.equal((await manage(uri, token, 'PUT', { ...members(json), verified: true, prompt_user: false })).status, 200);
    const { json: renewed } = await manage(`${input.issuer}/register/tweedledum/secret`, token, 'POST', { overlap: 0 });
    await assert.rejects(openid.clientCredentialsGrant(service), { status: 401 });
    await openid.clientCredentialsGrant(await openid.discovery(new URL(input.issuer), 'tweedledum', renewed.client_secret));
  },

  // A client that an administrator registers, whose pages a browser lets read its answers.
  async webPage(input) {
    const site = http.createServer((_, response) => response.end('A page')).listen(input.port, '127.0.0.1');
    const [own, other] = [`http://localhost:${input.port}`, `http://127.0.0.1:${input.port}`];
    const console = await openid.discovery(new URL(input.issuer), 'console', input.secret);
    await withPage(input, async (page) => {
      const { access_token: token } = await login(page, console, 'openid registration.full', agree);
      const registered = await openid.dynamicClientRegistration(new URL(input.issuer), {
        redirect_uris: [callback], token_endpoint_auth_method: 'none', scope: 'openid email', cors: [own],
      }, openid.None(), { initialAccessToken: token });
      const tokens = await login(page, registered, 'openid email', () => decide(page, 'allow'));
      const asked = (origin) => page.goto(origin).then(() => page.evaluate(async ([url, bearer]) => {
        try {
          return (await (await fetch(url, { headers: { Authorization: `Bearer ${bearer}` } })).json()).sub;
        } catch (error) {
          return error.name;
        }
      }, [`${input.issuer}/userinfo`, tokens.access_token]));
      assert.equal(await asked(own), 'alice');
      assert.equal(await asked(other), 'TypeError', 'the browser does not even ask');
    });
    site.close();
  },
});

// The metadata of an answer, without what RFC 7592 §2.2 keeps out of an update.
function members({ registration_client_uri, registration_access_token, client_secret_expires_at, client_id_issued_at, created_by, ...metadata }) {
  return metadata;
}
