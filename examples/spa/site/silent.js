// In a frame that nobody sees: tells the page around it what the server answered.
new oidc.UserManager({}).signinSilentCallback();
