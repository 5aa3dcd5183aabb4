// Signs people in by code and PKCE, keeps them signed in, and calls an API for them.
const home = `${location.origin}/`;

export const manager = new oidc.UserManager({
  authority: 'https://localhost:8443', // its metadata tells all the rest
  client_id: 'spa',
  redirect_uri: home,
  silent_redirect_uri: `${home}silent.html`,
  post_logout_redirect_uri: home,
  scope: 'openid profile orders.read',
  loadUserInfo: true,
  revokeTokensOnSignout: true,
});

const element = (id) => document.getElementById(id);

function show(user) {
  element('who').textContent = user ? `Hello, ${user.profile.name}.` : 'You are not signed in.';
  element('sign-in').hidden = Boolean(user);
  for (const id of ['orders', 'sign-out']) element(id).hidden = !user;
}

async function start() {
  if (new URLSearchParams(location.search).has('state')) {
    try {
      return await manager.signinCallback();
    } finally {
      history.replaceState(null, '', home); // a code is good once
    }
  }
  const user = await manager.getUser();
  if (user && !user.expired) return user;
  try {
    return await manager.signinSilent(); // whoever is signed in at the server is signed in here
  } catch {
    await manager.removeUser();
    return null;
  }
}

element('sign-in').onclick = () => manager.signinRedirect();
element('sign-out').onclick = () => manager.signoutRedirect();
element('orders').onclick = async () => {
  const { access_token: token } = await manager.getUser();
  const answer = await fetch('api/orders', { headers: { Authorization: `Bearer ${token}` } });
  element('answer').textContent = answer.ok ? await answer.text() : `The API says ${answer.status}.`;
};

manager.events.addUserLoaded(show); // after each renewal, a minute before the access token ends
manager.events.addUserUnloaded(() => show(null));
manager.events.addSilentRenewError(() => manager.removeUser());

try {
  show(await start());
} catch (error) {
  show(null);
  element('answer').textContent = error.message; // what the server has refused
}
