// OpenID Connect and JOSE libraries of the Node world against the server.
import assert from 'node:assert/strict';
import { CompactEncrypt, createRemoteJWKSet, importJWK, jwtVerify } from 'jose';
import * as openid from 'openid-client';
import { agree, authorize, run, withPage } from './browser.mjs';

const callback = 'https://app.example.com/callback';

// Authorization code with PKCE, state, nonce; ID token and userinfo.
async function login(input, config, scope) {
  const verifier = openid.randomPKCECodeVerifier();
  const [state, nonce] = [openid.randomState(), openid.randomNonce()];
  const url = openid.buildAuthorizationUrl(config, {
    redirect_uri: callback, scope, state, nonce,
    code_challenge: await openid.calculatePKCECodeChallenge(verifier), code_challenge_method: 'S256',
  });
  const back = await withPage(input, (page) => authorize(page, url, () => agree(page)));
  const tokens = await openid.authorizationCodeGrant(config, back, {
    pkceCodeVerifier: verifier, expectedState: state, expectedNonce: nonce, idTokenExpected: true,
  });
  assert.equal(tokens.claims().sub, 'alice');
  const person = await openid.fetchUserInfo(config, tokens.access_token, 'alice');
  assert.equal(person.email, 'alice@example.com');
  return tokens;
}

await run({
  async confidential(input) {
    const config = await openid.discovery(new URL(input.issuer), 'web', input.secret, openid.ClientSecretBasic(input.secret));
    const tokens = await login(input, config, 'openid profile email offline_access books.read');
    assert.deepEqual(tokens.scope.split(' ').sort(), ['books.read', 'email', 'offline_access', 'openid', 'profile']);
    const refreshed = await openid.refreshTokenGrant(config, tokens.refresh_token);
    assert.notEqual(refreshed.access_token, tokens.access_token);
    const active = async (token) => (await openid.tokenIntrospection(config, token)).active;
    assert.ok(await active(refreshed.access_token));
    assert.ok(await active(tokens.refresh_token));
    // Revoking an access token ends it alone; revoking the refresh token ends everything of the grant.
    await openid.tokenRevocation(config, tokens.access_token);
    assert.ok(!await active(tokens.access_token));
    assert.ok(await active(refreshed.access_token));
    await openid.tokenRevocation(config, tokens.refresh_token);
    assert.ok(!await active(refreshed.access_token));
    assert.ok(!await active(tokens.refresh_token));
    await assert.rejects(openid.refreshTokenGrant(config, tokens.refresh_token), { error: 'invalid_grant' });
    await assert.rejects(openid.fetchUserInfo(config, refreshed.access_token, 'alice'), { status: 401 });
  },

  // A client without secret gets another refresh token at each use.
  async browserClient(input) {
    const config = await openid.discovery(new URL(input.issuer), 'spa', undefined, openid.None());
    const tokens = await login(input, config, 'openid email');
    const refreshed = await openid.refreshTokenGrant(config, tokens.refresh_token);
    assert.ok(refreshed.refresh_token && refreshed.refresh_token !== tokens.refresh_token);
    const again = await openid.refreshTokenGrant(config, refreshed.refresh_token);
    // Two generations back is theft: it ends the family.
    await assert.rejects(openid.refreshTokenGrant(config, tokens.refresh_token), { error: 'invalid_grant' });
    await assert.rejects(openid.refreshTokenGrant(config, again.refresh_token), { error: 'invalid_grant' });
  },

  // RFC 9101: the request is signed, then encrypted to a key that the server publishes. What comes back is
  // signed, encrypted to the client, and about a sub that nobody else knows.
  async requestObject(input) {
    const metadata = { userinfo_signed_response_alg: 'ES256', id_token_signed_response_alg: 'ES256' };
    const config = await openid.discovery(new URL(input.issuer), 'private', metadata, openid.ClientSecretPost(input.secret));
    const ecdh = { name: 'ECDH', namedCurve: 'P-256' };
    const ecdsa = { name: 'ECDSA', namedCurve: 'P-256' };
    const decrypting = await crypto.subtle.importKey('jwk', input.encrypting, ecdh, false, ['deriveBits']);
    const signing = await crypto.subtle.importKey('jwk', input.signing, ecdsa, false, ['sign']);
    openid.enableDecryptingResponses(config, ['A256GCM'], { key: decrypting, alg: 'ECDH-ES+A256KW', kid: input.encrypting.kid });
    openid.useCodeIdTokenResponseType(config);
    const verifier = openid.randomPKCECodeVerifier();
    const [state, nonce] = [openid.randomState(), openid.randomNonce()];
    const url = await openid.buildAuthorizationUrlWithJAR(config, {
      redirect_uri: callback, scope: 'openid', state, nonce, max_age: '600', response_type: 'code id_token',
      claims: JSON.stringify({ userinfo: { email: { essential: true } }, id_token: { name: null } }),
      code_challenge: await openid.calculatePKCECodeChallenge(verifier), code_challenge_method: 'S256',
    }, { key: signing, kid: input.signing.kid });
    const { keys } = await (await fetch(config.serverMetadata().jwks_uri)).json();
    const to = keys.find((key) => key.use === 'enc' && key.kty === 'RSA');
    const sealed = await new CompactEncrypt(new TextEncoder().encode(url.searchParams.get('request')))
      .setProtectedHeader({ alg: 'RSA-OAEP-256', enc: 'A256GCM', kid: to.kid, cty: 'oauth-authz-req+jwt' })
      .encrypt(await importJWK(to, 'RSA-OAEP-256'));
    url.searchParams.set('request', sealed);
    const back = await withPage(input, (page) => authorize(page, url, () => agree(page), callback));
    const tokens = await openid.authorizationCodeGrant(config, back, {
      pkceCodeVerifier: verifier, expectedState: state, expectedNonce: nonce, maxAge: 600,
    });
    const { sub, name } = tokens.claims();
    assert.ok(sub.length > 40, 'pairwise');
    assert.equal(name, 'Alice Liddell');
    const person = await openid.fetchUserInfo(config, tokens.access_token, sub);
    assert.equal(person.email, 'alice@example.com');
  },

  // RFC 7523: clients that sign, with a key of their own and with their secret.
  async signers(input) {
    const key = await crypto.subtle.importKey('jwk', input.key, { name: 'ECDSA', namedCurve: 'P-256' }, false, ['sign']);
    for (const [id, secret, method] of [
      ['signer', undefined, openid.PrivateKeyJwt({ key, kid: input.key.kid })],
      ['sharer', input.secret, openid.ClientSecretJwt(input.secret)],
    ]) {
      const config = await openid.discovery(new URL(input.issuer), id, secret, method);
      for (let again = 0; again < 2; again++) {
        const tokens = await openid.clientCredentialsGrant(config, { scope: 'books.read' });
        assert.ok((await openid.tokenIntrospection(config, tokens.access_token)).active);
        await openid.tokenRevocation(config, tokens.access_token);
      }
      const wrong = await openid.discovery(new URL(input.issuer), id, input.secret, openid.ClientSecretPost(input.secret));
      await assert.rejects(openid.clientCredentialsGrant(wrong, { scope: 'books.read' }), { status: 401 });
    }
  },

  // RFC 9068: an API verifies the token of a service with nothing but the published keys.
  async service(input) {
    const config = await openid.discovery(new URL(input.issuer), 'robot', input.secret);
    const { access_token: token } = await openid.clientCredentialsGrant(config, { scope: 'books.read' });
    const keys = createRemoteJWKSet(new URL(config.serverMetadata().jwks_uri));
    const expected = { issuer: input.issuer, audience: 'https://books.example.com', typ: 'at+jwt' };
    const { payload } = await jwtVerify(token, keys, {
      ...expected, requiredClaims: ['exp', 'iat', 'jti', 'sub', 'client_id'], algorithms: ['ES256'],
    });
    assert.equal(payload.client_id, 'robot');
    assert.equal(payload.scope, 'books.read');
    await assert.rejects(jwtVerify(token, keys, { ...expected, audience: 'https://other.example.com' }));
    await assert.rejects(jwtVerify(token, keys, { ...expected, typ: 'JWT' }));
  },

  // Signs in at Apache.
  async apache(input) {
    await withPage(input, async (page) => {
      await page.goto(`${input.apache}/secure/`);
      await agree(page);
      await page.waitForURL(`${input.apache}/secure/`);
      assert.equal(await page.locator('body').innerText(), 'alice alice@example.com');
    });
  },
});
