// Makes or asks for a passkey (Web Authentication Level 2) and sends the form with what came of it. The
// Level 3 methods that read and write JSON by themselves are not in every browser yet.
'use strict';

const form = document.getElementById('passkey');
const { publicKey } = JSON.parse(form.dataset.options);

const decode = (text) => Uint8Array.from(atob(text.replace(/-/g, '+').replace(/_/g, '/')), (c) => c.charCodeAt(0));
const encode = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer)))
  .replace(/\+/g, '-').replace(/\//g, '_').replace(/=+$/, '');

function prepare() {
  publicKey.challenge = decode(publicKey.challenge);
  if (publicKey.user) publicKey.user.id = decode(publicKey.user.id);
  for (const list of [publicKey.allowCredentials, publicKey.excludeCredentials]) {
    for (const credential of list ?? []) credential.id = decode(credential.id);
  }
}

// What a credential is as JSON (Web Authentication Level 3 §5.1, PublicKeyCredentialJSON).
function describe(credential) {
  const { response } = credential;
  const parts = {};
  for (const name of ['clientDataJSON', 'attestationObject', 'authenticatorData', 'signature', 'userHandle']) {
    if (response[name]) parts[name] = encode(response[name]);
  }
  if (response.getTransports) parts.transports = response.getTransports();
  return JSON.stringify({
    id: credential.id, rawId: encode(credential.rawId), type: credential.type, response: parts,
    authenticatorAttachment: credential.authenticatorAttachment ?? undefined,
    clientExtensionResults: credential.getClientExtensionResults(),
  });
}

prepare();
form.addEventListener('submit', async (event) => {
  event.preventDefault();
  const button = form.querySelector('button');
  const failed = document.getElementById('failed');
  button.disabled = true;
  failed.hidden = true;
  try {
    const ask = form.dataset.ceremony === 'create' ? 'create' : 'get';
    form.elements.credential.value = describe(await navigator.credentials[ask]({ publicKey }));
    form.submit();
  } catch {
    failed.hidden = false;
    button.disabled = false;
  }
});
