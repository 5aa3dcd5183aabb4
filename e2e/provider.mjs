// An OpenID provider that is not ours (npm oidc-provider), for gates of foreign issuers. Standard input
// says on which port, with which clients, and which resources have signed tokens; it runs until it is ended.
import { readFileSync } from 'node:fs';
import { generateKeyPairSync } from 'node:crypto';
import { Provider } from 'oidc-provider';

const { port, clients, signedResources, kid } = JSON.parse(readFileSync(0, 'utf8'));

const key = (type, options, alg) => ({
  ...generateKeyPairSync(type, options).privateKey.export({ format: 'jwk' }), alg, use: 'sig', kid: `${kid}-${alg}`,
});

const account = (ctx, id) => ({
  accountId: id,
  claims: () => ({
    sub: id, preferred_username: id, name: `${id} of elsewhere`, email: `${id}@elsewhere.example`, roles: ['guest'],
  }),
});

const provider = new Provider(`http://localhost:${port}`, {
  clients,
  findAccount: account,
  jwks: { keys: [key('rsa', { modulusLength: 2048 }, 'RS256'), key('ec', { namedCurve: 'P-256' }, 'ES256')] },
  cookies: { keys: ['a secret of this test alone'] },
  claims: { openid: ['sub'], profile: ['name', 'preferred_username', 'roles'], email: ['email'] },
  scopes: ['openid', 'profile', 'email', 'offline_access', 'read'],
  issueRefreshToken: () => true,
  features: {
    devInteractions: { enabled: true },
    introspection: { enabled: true, allowedPolicy: () => true },
    jwtIntrospection: { enabled: true },
    revocation: { enabled: true },
    clientCredentials: { enabled: true },
    rpInitiatedLogout: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => undefined,
      useGrantedResource: () => true,
      getResourceServerInfo: (ctx, resource) => ({
        scope: 'read', audience: resource, accessTokenTTL: 600,
        accessTokenFormat: signedResources.includes(resource) ? 'jwt' : 'opaque',
        jwt: { sign: { alg: 'ES256' } },
      }),
    },
  },
  ttl: { AccessToken: 100, IdToken: 300, RefreshToken: 3600, Session: 3600, Grant: 3600, Interaction: 600, ClientCredentials: 600 },
});

const server = provider.listen(port, '127.0.0.1');
process.on('SIGTERM', () => server.close(() => process.exit(0)));
