// The callback page: finishes the sign-in, then offers what is still missing: a profile, and the referral.

import { ask } from "./graphql.js";
import { completeSignIn, forgetReferral, home, referral, who } from "./session.js";
import { problem, text } from "./texts.js";

const VIEWER = "{ viewer { roles customer { id displayName } } }";
const SIGN_UP = `
mutation SignUp($input: SignUpInput!) {
  signUp(input: $input) {
    __typename
    ... on SignUpSuccess { customer { displayName } }
    ... on Refusal { code message }
  }
}`;
const CLAIM = `
mutation ClaimReferral($input: ClaimReferralInput!) {
  claimReferral(input: $input) { __typename ... on Refusal { code message } }
}`;

const element = (id) => document.getElementById(id);
let target = home;

function showProblem(message) {
  element("problem").textContent = message;
  element("problem").hidden = !message;
}

function showOnly(id, focus) {
  for (const other of ["wait", "sign-up", "claim"]) element(other).hidden = other !== id;
  if (focus) element(focus).focus();
}

function say(message) {
  element("wait").textContent = message;
  showOnly("wait");
}

/** Run a form: its buttons rest meanwhile, and a refusal is shown next to it. */
function onSubmit(id, run) {
  const form = element(id);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const buttons = form.querySelectorAll("button");
    showProblem("");
    for (const button of buttons) button.disabled = true;
    try {
      await run(new FormData(form));
    } catch (error) {
      showProblem(problem(error));
    } finally {
      for (const button of buttons) button.disabled = false;
    }
  });
}

/** The value of a mutation that may be refused; throws with the reason. */
function accepted(answer) {
  if (answer.__typename === "Refusal") throw new Error(answer.message);
  return answer;
}

async function goOn() {
  const { viewer } = await ask(VIEWER);
  if (!viewer?.roles.includes("CUSTOMER")) return leave();
  if (!viewer.customer) return offerSignUp();
  return referral()?.code ? offerClaim() : leave();
}

function offerSignUp() {
  element("display-name").value = who()?.name ?? "";
  showOnly("sign-up", "display-name");
}

function offerClaim() {
  element("code").value = referral()?.code ?? "";
  showOnly("claim", "code");
}

function leave() {
  location.replace(target);
}

async function signUp(form) {
  const input = { displayName: form.get("name").trim() };
  const { customer } = accepted((await ask(SIGN_UP, { input })).signUp);
  say(text("welcome", { name: customer.displayName }));
  if (referral()?.code) offerClaim();
  else finish();
}

async function claim(form) {
  const input = { code: form.get("code").trim(), clickIds: referral()?.clicks ?? [] };
  accepted((await ask(CLAIM, { input })).claimReferral);
  forgetReferral();
  say(text("claimed"));
  finish();
}

function finish() {
  element("continue").href = target;
  element("continue").hidden = false;
  element("continue").focus();
}

async function start() {
  try {
    // Somebody who is signed in already comes without a code, to claim a referral.
    if (location.search || !who()) target = await completeSignIn();
    await goOn();
  } catch (error) {
    say("");
    showProblem(problem(error));
    if (who()) finish();
    else element("retry").hidden = false;
  }
}

onSubmit("sign-up", signUp);
onSubmit("claim", claim);
element("claim-skip").addEventListener("click", () => {
  forgetReferral();
  leave();
});
start();
