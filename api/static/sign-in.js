// The sign-in page: keeps the referral that a link brought, and leaves for the issuer.

import { home, keepReferral, moveToBase, referral, signIn, signOut, who } from "./session.js";
import { problem, text } from "./texts.js";

const element = (id) => document.getElementById(id);

function show() {
  const person = who();
  const brought = referral();
  element("invited").hidden = !brought?.code;
  element("invited-code").textContent = brought?.code ?? "";
  element("who").hidden = !person;
  element("who").textContent = person ? text("signed_in_as", { name: person.name }) : "";
  element("sign-in").hidden = Boolean(person);
  element("sign-out").hidden = !person;
  element("continue").hidden = !(person && brought?.code);
  element("explorer").hidden = home === "/sign-in";
}

function fail(error) {
  element("problem").textContent = problem(error);
  element("problem").hidden = false;
  element("sign-in").disabled = false;
}

async function start() {
  element("sign-in").disabled = true;
  element("problem").hidden = true;
  try {
    await signIn(home);
  } catch (error) {
    fail(error);
  }
}

if (!moveToBase()) {
  const query = new URLSearchParams(location.search);
  if (query.get("code")) keepReferral(query.get("code").slice(0, 40), (query.get("click") ?? "").slice(0, 64));
  element("sign-in").addEventListener("click", start);
  element("sign-out").addEventListener("click", () => {
    // The session is gone at once here; the issuer is told meanwhile.
    signOut();
    show();
    element("sign-in").focus();
  });
  // Browsers that come back by the history keep a disabled button disabled.
  window.addEventListener("pageshow", () => {
    element("sign-in").disabled = false;
  });
  show();
}
