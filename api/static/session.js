// The signed-in session: OpenID Connect with PKCE (RFC 7636) against whichever issuer the page names.
// Tokens live in sessionStorage: each tab signs in for itself, and closing it forgets them.

import { sha256 } from "./sha256.js";

const page = document.body.dataset;
const SESSION = "kinship.session";
const PENDING = "kinship.pending";
const REFERRAL = "kinship.referral";
// A token that ends within this many seconds is renewed before it is used.
const MARGIN = 30;

export const language = document.documentElement.lang.startsWith("zh") ? "zh" : "en";
export const home = page.explorer || "/sign-in";
export const service = page.service || null;

/** Codes belong to the origin that asked for them, so every page starts from the address the issuer knows. */
export function moveToBase() {
  const base = new URL(page.base);
  if (location.origin !== base.origin) {
    location.replace(base.origin + location.pathname + location.search);
    return true;
  }
  return false;
}

function read(key) {
  try {
    return JSON.parse(sessionStorage.getItem(key));
  } catch {
    return null;
  }
}

function write(key, value) {
  if (value === null) sessionStorage.removeItem(key);
  else sessionStorage.setItem(key, JSON.stringify(value));
}

function base64url(bytes) {
  return btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

function random(length) {
  return base64url(crypto.getRandomValues(new Uint8Array(length)));
}

let discovered = null;

async function discover() {
  discovered ??= (async () => {
    const answer = await fetch(`${page.issuer}/.well-known/openid-configuration`);
    if (!answer.ok) throw new SignInError("issuer_unavailable", `HTTP ${answer.status}`);
    const found = await answer.json();
    if (String(found.issuer).replace(/\/$/, "") !== page.issuer) throw new SignInError("issuer_mismatch");
    return found;
  })();
  try {
    return await discovered;
  } catch (error) {
    discovered = null;
    throw error;
  }
}

/** A sign-in that did not work; `code` is that of RFC 6749 or one of ours. */
export class SignInError extends Error {
  constructor(code, detail = "") {
    super(detail ? `${code}: ${detail}` : code);
    this.code = code;
  }
}

/** Leave for the issuer; come back to `target`, a path of ours. `hint` names a person to offer first. */
export async function signIn(target, hint = "") {
  const { authorization_endpoint: endpoint } = await discover();
  const pending = { state: random(24), nonce: random(24), verifier: random(48), target };
  write(PENDING, pending);
  const challenge = base64url(await sha256(new TextEncoder().encode(pending.verifier)));
  const address = new URL(endpoint);
  const parameters = {
    response_type: "code",
    client_id: page.client,
    redirect_uri: `${page.base}/sign-in/callback`,
    scope: "openid profile",
    // Some issuers sign tokens for an API only when they are told which; the others ignore it.
    audience: page.audience,
    state: pending.state,
    nonce: pending.nonce,
    code_challenge: challenge,
    code_challenge_method: "S256",
    ui_locales: language,
  };
  if (hint) parameters.login_hint = hint;
  for (const [name, value] of Object.entries(parameters)) address.searchParams.set(name, value);
  location.assign(address);
}

/** Sign in as the bank's own system, which is no person and sees no page; development issuers only. */
export async function signInAsService() {
  const client = { client_id: page.service, client_secret: page.secret };
  const tokens = await exchange({ grant_type: "client_credentials", ...client });
  keep(tokens, { sub: page.service, name: page.service });
}

/** Turn the code in this page's address into a session; returns where to go on. */
export async function completeSignIn() {
  const answer = new URLSearchParams(location.search);
  // The code shall not stay in the history; a second use would end the sign-in.
  history.replaceState(null, "", location.pathname);
  const pending = read(PENDING);
  write(PENDING, null);
  if (answer.get("error")) throw new SignInError(answer.get("error"), answer.get("error_description") ?? "");
  if (!pending || !answer.get("code") || answer.get("state") !== pending.state) throw new SignInError("state_mismatch");
  const tokens = await exchange({
    grant_type: "authorization_code",
    code: answer.get("code"),
    redirect_uri: `${page.base}/sign-in/callback`,
    code_verifier: pending.verifier,
  });
  if (tokens.id_token && claims(tokens.id_token).nonce !== pending.nonce) throw new SignInError("nonce_mismatch");
  keep(tokens, tokens.id_token ? claims(tokens.id_token) : {});
  return safeTarget(pending.target);
}

function safeTarget(target) {
  const address = new URL(target || home, location.origin);
  return address.origin === location.origin ? address.pathname + address.search : home;
}

async function exchange(parameters) {
  const { token_endpoint: endpoint } = await discover();
  const body = new URLSearchParams({ client_id: page.client, ...parameters });
  const answer = await fetch(endpoint, { method: "POST", body, cache: "no-store" });
  const found = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new SignInError(found.error ?? "token_refused", found.error_description ?? `HTTP ${answer.status}`);
  return found;
}

/** The claims of a token, for display only: whoever decides anything verifies it. */
function claims(token) {
  const bytes = Uint8Array.from(atob(token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
  return JSON.parse(new TextDecoder().decode(bytes));
}

function keep(tokens, identity) {
  write(SESSION, {
    access: tokens.access_token,
    refresh: tokens.refresh_token ?? null,
    ends: Date.now() / 1000 + (tokens.expires_in ?? 300),
    subject: identity.sub ?? null,
    name: { zh: identity.name ?? identity.sub ?? "", en: identity["name#en"] ?? identity.name ?? identity.sub ?? "" },
  });
}

/** Who is signed in, or null: `subject`, and `name` in the page's language. */
export function who() {
  const session = read(SESSION);
  return session && { subject: session.subject, name: session.name[language] };
}

let renewing = null;

/** A good access token, or null for nobody; `fresh` renews it although it has not ended. */
export async function accessToken(fresh = false) {
  const session = read(SESSION);
  if (!session) return null;
  if (!fresh && session.ends - Date.now() / 1000 > MARGIN) return session.access;
  // A refresh token is good once, so all who wait share one renewal.
  renewing ??= renew(session).finally(() => {
    renewing = null;
  });
  return renewing;
}

async function renew(session) {
  try {
    if (!session.refresh) throw new SignInError("invalid_grant");
    const tokens = await exchange({ grant_type: "refresh_token", refresh_token: session.refresh });
    write(SESSION, {
      ...session,
      access: tokens.access_token,
      refresh: tokens.refresh_token ?? session.refresh,
      ends: Date.now() / 1000 + (tokens.expires_in ?? 300),
    });
    return tokens.access_token;
  } catch (error) {
    if (error.code !== "invalid_grant") throw error;
    write(SESSION, null);
    return null;
  }
}

/** Forget the session here, and at the issuer as far as it lets us. */
export async function signOut() {
  const session = read(SESSION);
  write(SESSION, null);
  if (!session?.refresh) return;
  try {
    const { revocation_endpoint: endpoint } = await discover();
    const body = new URLSearchParams({ token: session.refresh, token_type_hint: "refresh_token", client_id: page.client });
    if (endpoint) await fetch(endpoint, { method: "POST", body });
  } catch {
    // The token ends by itself.
  }
}

/** The referral of a link: the code of the latest, and the clicks of all that were followed in this tab. */
export function referral() {
  return read(REFERRAL);
}

export function keepReferral(code, click) {
  const clicks = referral()?.clicks ?? [];
  if (click && !clicks.includes(click)) clicks.push(click);
  write(REFERRAL, { code, clicks: clicks.slice(-20) });
}

export function forgetReferral() {
  write(REFERRAL, null);
}
