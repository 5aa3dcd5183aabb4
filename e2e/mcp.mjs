// An MCP client of the public SDK, which knows only the server's address.
import assert from 'node:assert/strict';
import http from 'node:http';
import { UnauthorizedError } from '@modelcontextprotocol/sdk/client/auth.js';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { authorize, decide, inspect, run, shows, signIn, withPage } from './browser.mjs';

// What the SDK asks an application to keep, and where it says what it does.
class Application {
  constructor(redirectUrl) {
    this.redirectUrl = redirectUrl;
    this.kept = {};
    this.registrations = 0;
  }

  get clientMetadata() {
    return {
      client_name: 'Cheshire Cat', redirect_uris: [this.redirectUrl], token_endpoint_auth_method: 'none',
      grant_types: ['authorization_code', 'refresh_token'], response_types: ['code'],
    };
  }

  state() { this.kept.state = crypto.randomUUID(); return this.kept.state; }

  clientInformation() { return this.kept.client; }

  saveClientInformation(client) { this.kept.client = client; this.registrations += 1; }

  tokens() { return this.kept.tokens; }

  saveTokens(tokens) { this.kept.tokens = tokens; }

  codeVerifier() { return this.kept.verifier; }

  saveCodeVerifier(verifier) { this.kept.verifier = verifier; }

  redirectToAuthorization(url) { this.sentTo = url; }

  invalidateCredentials(scope) {
    if (scope === 'all' || scope === 'client') delete this.kept.client;
    if (scope === 'all' || scope === 'tokens') delete this.kept.tokens;
  }
}

// Asks the tool who is calling, over a connection of its own.
async function whoami(input, application) {
  const client = new Client({ name: 'cheshire-cat', version: '1.0.0' });
  await client.connect(new StreamableHTTPClientTransport(new URL(input.mcp), { authProvider: application }));
  try {
    const { content: [{ text }] } = await client.callTool({ name: 'whoami' });
    return text;
  } finally {
    await client.close();
  }
}

// Is sent to sign in, comes back, and has the SDK get tokens for the code.
async function getIn(input, application, page, answer) {
  await assert.rejects(whoami(input, application), UnauthorizedError);
  const { searchParams: asked } = application.sentTo;
  assert.equal(asked.get('resource'), input.mcp);
  assert.equal(asked.get('code_challenge_method'), 'S256');
  assert.match(asked.get('scope'), /\btea\.party\b/);
  const back = (await authorize(page, application.sentTo, answer)).searchParams;
  assert.equal(back.get('state'), application.kept.state);
  await new StreamableHTTPClientTransport(new URL(input.mcp), { authProvider: application }).finishAuth(back.get('code'));
  const { client_id: client } = application.kept.client;
  assert.equal(await whoami(input, application), `user: alice, client: ${client}`);
}

await run({
  async walk(input) {
    const application = new Application(input.callback);
    await withPage(input, async (page) => {
      await getIn(input, application, page, async () => {
        await signIn(page);
        await shows(page, 'consent');
        await inspect(page, 'consent-mcp', input);
        await decide(page, 'allow');
      });

      // A token that is good no more is replaced, and the refresh token with it.
      const { tokens } = application.kept;
      application.kept.tokens = { ...tokens, access_token: 'not-any-more' };
      assert.match(await whoami(input, application), /^user: alice/);
      assert.notEqual(application.kept.tokens.refresh_token, tokens.refresh_token);

      const { client_id: client } = application.kept.client;
      const revoked = await fetch(`${input.issuer}/revoke`, {
        method: 'POST', body: new URLSearchParams({ client_id: client, token: application.kept.tokens.refresh_token }),
      });
      assert.equal(revoked.status, 200);
      await getIn(input, application, page, () => decide(page, 'allow'));
      assert.equal(application.registrations, 1);
    });
  },

  // What the SDK does in a web page, by fetch: it reads every answer, and sends what it likes along.
  async webPage(input) {
    const site = http.createServer((_, response) => response.end('A page')).listen(input.port, '127.0.0.1');
    await withPage(input, async (page) => {
      await page.goto(`http://localhost:${input.port}/`);
      const registered = await page.evaluate(async (mcp) => {
        const headers = { 'content-type': 'application/json', 'mcp-protocol-version': '2025-06-18' };
        const refused = await fetch(mcp, { method: 'POST', headers: { ...headers, authorization: 'Bearer none' }, body: '{}' });
        const [, described] = refused.headers.get('www-authenticate').match(/resource_metadata="([^"]+)"/);
        const resource = await (await fetch(described, { headers })).json();
        const server = await (await fetch(`${resource.authorization_servers[0]}/.well-known/oauth-authorization-server`, { headers })).json();
        const client = await (await fetch(server.registration_endpoint, {
          method: 'POST', headers: { 'content-type': 'application/json' },
          body: JSON.stringify({ redirect_uris: [`${location.origin}/oauth/callback`], token_endpoint_auth_method: 'none' }),
        })).json();
        const token = await fetch(server.token_endpoint, {
          method: 'POST', body: new URLSearchParams({ grant_type: 'authorization_code', code: 'none', client_id: client.client_id }),
        });
        return { resource: resource.resource, client, status: refused.status, token: await token.json() };
      }, input.mcp);
      assert.equal(registered.status, 401);
      assert.equal(registered.resource, input.mcp);
      assert.ok(registered.client.client_id);
      assert.equal(registered.token.error, 'invalid_grant');
    });
    site.close();
  },
});
