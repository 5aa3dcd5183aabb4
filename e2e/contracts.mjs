// Second factors, as people set them up and use them.
import assert from 'node:assert/strict';
import { createHash, createHmac, randomBytes } from 'node:crypto';
import { inspect, run, shows, signIn, withPage } from './browser.mjs';

// Sends a page to an authorization request for a contract.
async function ask(page, { issuer, callback }, contract) {
  const verifier = randomBytes(32).toString('base64url');
  await page.goto(`${issuer}/authorize?${new URLSearchParams({
    client_id: 'spa', redirect_uri: callback, response_type: 'code', scope: 'openid', acr_values: contract, state: 'a state',
    code_challenge: createHash('sha256').update(verifier).digest('base64url'), code_challenge_method: 'S256',
  })}`);
  return verifier;
}

// Redeems the code that came back, and returns the ID token's claims.
async function claims(page, { issuer, callback }, verifier) {
  await page.waitForURL(`${callback}**`);
  const body = new URLSearchParams({
    grant_type: 'authorization_code', client_id: 'spa', redirect_uri: callback, code_verifier: verifier,
    code: new URL(page.url()).searchParams.get('code'),
  });
  const tokens = await (await fetch(`${issuer}/token`, { method: 'POST', body })).json();
  return JSON.parse(Buffer.from(tokens.id_token.split('.')[1], 'base64url'));
}

// A code as RFC 6238 computes it, some steps from now.
function code(secret, steps = 0) {
  const bits = [...secret.replace(/\s/g, '')].map((c) => 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'.indexOf(c).toString(2).padStart(5, '0')).join('');
  const key = Buffer.from(bits.match(/.{8}/g).map((byte) => parseInt(byte, 2)));
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30000) + steps));
  const mac = createHmac('sha1', key).update(counter).digest();
  const number = mac.readUInt32BE(mac.at(-1) & 15) & 0x7fffffff;
  return String(number % 1000000).padStart(6, '0');
}

// Gives the browser an authenticator in software, which says yes by itself.
async function plugIn(devtools, transport = 'internal') {
  await devtools.send('WebAuthn.enable');
  const { authenticatorId } = await devtools.send('WebAuthn.addVirtualAuthenticator', {
    options: {
      protocol: 'ctap2', transport, hasResidentKey: true, hasUserVerification: true, isUserVerified: true, automaticPresenceSimulation: true,
    },
  });
  return authenticatorId;
}

const twoSteps = 'urn:example:two-steps';

await run({
  async authenticatorApp(input) {
    let secret, used, recovery;
    await withPage(input, async (page) => {
      const verifier = await ask(page, input, twoSteps);
      await signIn(page);
      await shows(page, 'login');
      await inspect(page, 'totp-enrol', input);
      secret = await page.locator('#secret').innerText();
      await page.fill('input[name=otp]', '000000');
      await page.keyboard.press('Enter');
      await page.waitForSelector('input[name=otp][aria-invalid=true]');
      assert.equal(await page.locator('#secret').innerText(), secret, 'the app has scanned it already');
      used = code(secret);
      await page.fill('input[name=otp]', used);
      await page.click('button[type=submit]');
      recovery = await page.locator('#recovery code').allInnerTexts();
      assert.equal(recovery.length, 10);
      await inspect(page, 'totp-recovery', input);
      await page.click('button[type=submit]');
      const { acr, amr } = await claims(page, input, verifier);
      assert.deepEqual({ acr, amr }, { acr: twoSteps, amr: ['pwd', 'otp', 'mfa'] });
    });
    await withPage(input, async (page) => {
      const verifier = await ask(page, input, twoSteps);
      await signIn(page);
      await shows(page, 'login');
      await inspect(page, 'totp', input);
      await page.fill('input[name=otp]', used);
      await page.click('button[type=submit]');
      assert.equal(await page.getAttribute('input[name=otp]', 'aria-invalid'), 'true', 'a code works once');
      await inspect(page, 'totp-wrong', input);
      await page.fill('input[name=otp]', code(secret, 1)); // the next one, whichever was used
      await page.click('button[type=submit]');
      assert.equal((await claims(page, input, verifier)).acr, twoSteps);
    });
    await withPage(input, async (page) => {
      const verifier = await ask(page, input, twoSteps);
      await signIn(page);
      await page.fill('input[name=otp]', recovery[0]);
      await page.click('button[type=submit]');
      assert.equal((await claims(page, input, verifier)).acr, twoSteps);
    });
  },

  async german(input) {
    await withPage(input, async (page) => {
      const verifier = await ask(page, input, twoSteps);
      await signIn(page);
      await page.screenshot({ path: `${input.shots}/totp-enrol-german.png`, fullPage: true });
      assert.equal(await page.locator('h1').innerText(), 'Zweiten Schritt einrichten');
      await page.fill('input[name=otp]', code(await page.locator('#secret').innerText()));
      await page.click('button[type=submit]');
      await page.click('button[type=submit]');
      assert.equal((await claims(page, input, verifier)).acr, twoSteps);
    }, { locale: 'de-DE', javaScriptEnabled: false });
  },

  // With the browser's own authenticator in software: made after the password, asked for beside it, and
  // then alone.
  async passkey(input) {
    await withPage(input, async (page, context) => {
      const devtools = await context.newCDPSession(page);
      const authenticatorId = await plugIn(devtools);
      const problems = [];
      page.on('console', (message) => /policy/i.test(message.text()) && problems.push(message.text()));

      let verifier = await ask(page, input, 'urn:example:passkey-too');
      await signIn(page);
      await shows(page, 'login');
      await inspect(page, 'passkey-enrol', input);
      await page.click('button[type=submit]');
      await page.click('button[name=skip]');
      const first = await claims(page, input, verifier);
      assert.equal(first.acr, 'urn:example:passkey-too');
      assert.ok(first.amr.includes('mfa'));

      await context.clearCookies();
      verifier = await ask(page, input, 'urn:example:passkey-too');
      await signIn(page);
      await page.click('button[type=submit]');
      assert.equal((await claims(page, input, verifier)).acr, 'urn:example:passkey-too');

      await context.clearCookies();
      verifier = await ask(page, input, 'urn:example:passkey');
      await shows(page, 'login');
      await inspect(page, 'passkey', input);
      await page.click('button[type=submit]');
      const { sub, acr } = await claims(page, input, verifier);
      assert.deepEqual({ sub, acr }, { sub: 'alice', acr: 'urn:example:passkey' });

      // Without the key the page says so, and the person may try again.
      await context.clearCookies();
      const { credentials } = await devtools.send('WebAuthn.getCredentials', { authenticatorId });
      await devtools.send('WebAuthn.clearCredentials', { authenticatorId });
      verifier = await ask(page, input, 'urn:example:passkey');
      await page.click('button[type=submit]');
      await page.waitForSelector('#failed:not([hidden])');
      await inspect(page, 'passkey-failed', input);
      await devtools.send('WebAuthn.addCredential', { authenticatorId, credential: credentials[0] });
      await page.click('button[type=submit]');
      assert.equal((await claims(page, input, verifier)).sub, 'alice');
      assert.deepEqual(problems, [], 'the policy lets all through that the page needs');
    });
  },

  // A second one beside the first, then neither at hand.
  async passkeys(input) {
    await withPage(input, async (page, context) => {
      const devtools = await context.newCDPSession(page);
      const first = await plugIn(devtools);
      let verifier = await ask(page, input, 'urn:example:passkey-too');
      await signIn(page);
      await page.click('button[type=submit]');
      await page.waitForSelector('#recovery');
      const recovery = await page.locator('#recovery code').allInnerTexts();
      assert.equal(recovery.length, 10);
      await inspect(page, 'passkey-another', input);
      await page.click('#passkey button');
      await page.waitForSelector('#failed:not([hidden])'); // the same device makes no second one
      const second = await plugIn(devtools, 'usb');
      await page.click('#passkey button');
      assert.equal((await claims(page, input, verifier)).acr, 'urn:example:passkey-too');

      await context.clearCookies();
      await devtools.send('WebAuthn.removeVirtualAuthenticator', { authenticatorId: first });
      verifier = await ask(page, input, 'urn:example:passkey');
      await page.click('summary');
      await inspect(page, 'passkey-more', input);
      await page.check('input[name=another]');
      await page.click('#passkey button');
      await page.waitForSelector('button[name=skip]');
      await inspect(page, 'passkey-another-later', input);
      await page.click('button[name=skip]');
      assert.equal((await claims(page, input, verifier)).sub, 'alice');

      await context.clearCookies();
      await devtools.send('WebAuthn.removeVirtualAuthenticator', { authenticatorId: second });
      await plugIn(devtools);
      verifier = await ask(page, input, 'urn:example:passkey');
      await page.click('summary');
      await page.click('button[name=recover]');
      await inspect(page, 'passkey-recover-login', input);
      await signIn(page);
      await page.fill('input[name=otp]', '0000 0000 0000');
      await page.keyboard.press('Enter');
      await page.waitForSelector('input[name=otp][aria-invalid=true]');
      await inspect(page, 'passkey-recover', input);
      await page.fill('input[name=otp]', recovery[5]);
      await page.keyboard.press('Enter');
      await page.waitForSelector('input[name=forget]');
      await inspect(page, 'passkey-lost', input);
      await page.check('input[name=forget]');
      await page.click('#passkey button');
      assert.deepEqual((await claims(page, input, verifier)).amr, ['pwd', 'otp', 'mfa']);

      await context.clearCookies();
      verifier = await ask(page, input, 'urn:example:passkey');
      await page.click('#passkey button');
      assert.equal((await claims(page, input, verifier)).sub, 'alice');
    });
  },

  // By recovery code nobody needs a script, and in German it is said in German.
  async recoveryInGerman(input) {
    let recovery;
    await withPage(input, async (page, context) => {
      await plugIn(await context.newCDPSession(page));
      const verifier = await ask(page, input, 'urn:example:passkey-too');
      await signIn(page);
      await page.click('button[type=submit]');
      await page.waitForSelector('#recovery');
      recovery = await page.locator('#recovery code').allInnerTexts();
      await page.screenshot({ path: `${input.shots}/passkey-another-german.png`, fullPage: true });
      await page.click('button[name=skip]');
      await claims(page, input, verifier);
    }, { locale: 'de-DE' });
    await withPage(input, async (page) => {
      const verifier = await ask(page, input, 'urn:example:passkey');
      await page.click('summary');
      await page.click('button[name=recover]');
      await signIn(page);
      assert.equal(await page.locator('h1').innerText(), 'Wiederherstellungscode eingeben');
      await page.fill('input[name=otp]', recovery[0]);
      await page.click('button[type=submit]');
      await page.screenshot({ path: `${input.shots}/passkey-lost-german.png`, fullPage: true });
      await page.click('button[name=skip]');
      assert.equal((await claims(page, input, verifier)).acr, 'urn:example:passkey');
    }, { locale: 'de-DE', javaScriptEnabled: false });
  },

  // Signed in by a password, then asked for the second step where a gate wants it.
  async gate(input) {
    await withPage(input, async (page) => {
      const reads = async (text) => assert.equal(await page.locator('body').innerText(), text);
      await page.goto(`${input.gate}/lobby`);
      await signIn(page);
      await reads('alice at /lobby');
      await page.goto(`${input.gate}/vault/7?a=b`);
      await signIn(page); // whoever sets up a factor says who they are first
      await page.fill('input[name=otp]', code(await page.locator('#secret').innerText()));
      await page.click('button[type=submit]');
      await page.click('button[type=submit]');
      await reads('alice at /vault/7?a=b');
      await page.goto(`${input.gate}/lobby`);
      await reads('alice at /lobby');
      await page.goto(`${input.gate}/vault/8`);
      await reads('alice at /vault/8');
    });
  },
});
