// The explorer: an editor for operations, their answers, examples, and the schema beside it.

import { send } from "./graphql.js";
import { showSchema } from "./schema.js";
import { moveToBase, service, signIn, signInAsService, signOut, who } from "./session.js";
import { problem, text } from "./texts.js";
import { keepAnswer, resolved } from "./tour.js";

const element = (id) => document.getElementById(id);
const DRAFT = "kinship.draft";
const FIRST = "{\n  viewer {\n    subject\n    roles\n    customer {\n      displayName\n    }\n  }\n}\n";

let underWay = null;
// The example that was chosen last: its answer is what later examples ask for.
let example = "";

function showWho() {
  const person = who();
  element("who").textContent = person ? text("signed_in_as", { name: person.name }) : text("nobody");
  element("sign-out").hidden = !person;
  element("persona").value = person?.subject ?? "";
  // A subject that the list does not have leaves the select empty.
  if (element("persona").selectedIndex < 0) element("persona").value = "";
  element("personas").hidden = element("persona").options.length < 2;
  offerSignIn();
}

/** Choosing alone leads nowhere: with the keyboard one passes every persona on the way to the right one. */
function offerSignIn() {
  const chosen = element("persona").value;
  element("sign-in").hidden = Boolean(who()) && (!chosen || chosen === who().subject);
}

async function leaveToSignIn(hint) {
  keepDraft();
  try {
    if (service && hint === service) {
      await signInAsService();
      showWho();
    } else await signIn("/graphiql", hint);
  } catch (error) {
    showAnswer(problem(error), "");
  }
}

function keepDraft() {
  const draft = { document: element("document").value, variables: element("variables").value, example };
  sessionStorage.setItem(DRAFT, JSON.stringify(draft));
}

function restoreDraft() {
  let draft = null;
  try {
    draft = JSON.parse(sessionStorage.getItem(DRAFT));
  } catch {
    // A draft that cannot be read is no draft.
  }
  element("document").value = draft?.document || FIRST;
  element("variables").value = draft?.variables ?? "";
  example = draft?.example ?? "";
  showOperations();
}

/** The names of the document's operations; comments and texts are left out before looking. */
function operationNames(document) {
  const bare = document.replace(/"""[\s\S]*?"""|"(?:\\.|[^"\\\n])*"|#[^\n]*/g, "");
  return [...bare.matchAll(/\b(?:query|mutation|subscription)\s+([_A-Za-z]\w*)\s*[({@]/g)].map((match) => match[1]);
}

function showOperations() {
  const names = operationNames(element("document").value);
  const select = element("operation");
  const chosen = names.includes(select.value) ? select.value : (names[0] ?? "");
  select.replaceChildren(...names.map((name) => new Option(name, name)));
  select.value = chosen;
  element("operations").hidden = names.length < 2;
}

/** The variables of the editor; throws a SyntaxError with what is wrong. */
function variables() {
  const written = element("variables").value.trim();
  if (!written) return {};
  const found = JSON.parse(written);
  if (found === null || typeof found !== "object" || Array.isArray(found)) throw new SyntaxError(written.slice(0, 40));
  return found;
}

function showAnswer(answer, status) {
  element("answer").textContent = answer;
  element("status").textContent = status;
}

async function run() {
  keepDraft();
  underWay?.abort();
  const mine = (underWay = new AbortController());
  const name = example;
  try {
    const operation = { query: element("document").value, variables: resolved(variables()) };
    const names = operationNames(operation.query);
    if (names.length) operation.operationName = names.length > 1 ? element("operation").value : names[0];
    showAnswer("", text("running"));
    const { body, status, milliseconds } = await send(operation, mine.signal);
    showAnswer(JSON.stringify(body, null, 2), text("took", { status, milliseconds }));
    if (name && body.data && !body.errors) keepAnswer(name, body.data);
    showWho();
  } catch (error) {
    if (error.name === "AbortError" && mine !== underWay) return;
    const unreadable = error instanceof SyntaxError;
    showAnswer(unreadable ? text("bad_variables", { problem: error.message }) : problem(error), "");
  }
}

async function showExamples() {
  const answer = await fetch("/tour.json").catch(() => null);
  const examples = answer?.ok ? await answer.json() : [];
  element("examples-section").hidden = !examples.length;
  element("examples").replaceChildren(...examples.map(exampleItem));
}

function nameOf(persona) {
  return [...element("persona").options].find((option) => option.value === persona)?.text ?? persona;
}

function exampleItem({ name, persona, document: operation, variables: values }) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "link";
  button.textContent = name.replaceAll(/[-_]/g, " ");
  button.addEventListener("click", () => {
    example = name;
    element("document").value = operation;
    element("variables").value = Object.keys(values).length ? JSON.stringify(values, null, 2) : "";
    // Who the example is for is only offered: signing in leaves this page.
    element("persona").value = persona;
    if (element("persona").selectedIndex < 0) element("persona").value = "";
    offerSignIn();
    showOperations();
    element("document").focus();
    element("document").setSelectionRange(0, 0);
    element("document").scrollTop = 0;
  });
  const whose = document.createElement("span");
  whose.className = "quiet";
  whose.textContent = ` ${nameOf(persona)}`;
  const item = document.createElement("li");
  item.append(button, whose);
  return item;
}

async function copy() {
  try {
    await navigator.clipboard.writeText(element("answer").textContent);
    element("status").textContent = text("copied");
  } catch {
    getSelection().selectAllChildren(element("answer"));
  }
}

function listen() {
  element("run").addEventListener("click", run);
  element("copy").addEventListener("click", copy);
  element("document").addEventListener("input", showOperations);
  element("sign-in").addEventListener("click", () => leaveToSignIn(element("persona").value));
  element("persona").addEventListener("change", offerSignIn);
  element("sign-out").addEventListener("click", () => {
    // The session is gone at once here; the issuer is told meanwhile.
    signOut();
    showWho();
    showAnswer("", "");
    element("sign-in").focus();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      run();
    }
  });
  window.addEventListener("pagehide", keepDraft);
  // The list shows who is signed in, also after coming back without having picked anybody.
  window.addEventListener("pageshow", showWho);
}

if (!moveToBase()) {
  listen();
  restoreDraft();
  showWho();
  showExamples();
  showSchema();
}
