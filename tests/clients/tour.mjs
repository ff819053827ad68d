// Walks the tour with a client that keeps a normalised cache, and compares what it shows with what the server said.

import { kind, pick, variablesOf } from "./documents.mjs";
import { apollo } from "./apollo.mjs";
import { urql } from "./urql.mjs";
import { tell, told } from "./told.mjs";

const { url, tokens, documents, patience, library, possibleTypes } = await told();
const make = { apollo, urql }[library];

/** A fetch that keeps the last answer as it came over the wire. */
function recording(token) {
  const kept = { answer: null };
  kept.fetch = async (address, request) => {
    const headers = { ...Object.fromEntries(new Headers(request.headers)), authorization: `Bearer ${token}` };
    const answer = await fetch(address, { ...request, headers });
    kept.answer = await answer.clone().json();
    return answer;
  };
  return kept;
}

/** What plain HTTP answers to the document as it stands. */
async function plainly(token, query, variables) {
  const headers = { "content-type": "application/json", authorization: `Bearer ${token}` };
  return (await fetch(url, { method: "POST", headers, body: JSON.stringify({ query, variables }) })).json();
}

const people = Object.fromEntries(
  Object.entries(tokens).map(([persona, token]) => {
    const wire = recording(token);
    return [persona, { wire, token, client: make(url, wire.fetch, possibleTypes) }];
  }),
);

const answers = {};
const steps = [];
for (const step of documents) {
  if (step.waits) await new Promise((resolve) => setTimeout(resolve, patience));
  const { wire, token, client } = people[step.persona];
  const variables = variablesOf(step.variables, answers);
  const shown = await client(step.document, variables);
  // What a mutation did is done: the plain answer is the one that the client was given. A query is asked once more.
  const mutation = kind(step.document) === "mutation";
  const plain = mutation ? wire.answer : await plainly(token, step.document, variables);
  steps.push({
    name: step.name,
    errors: wire.answer.errors ?? null,
    shown: pick(shown),
    wire: pick(wire.answer.data),
    plain: pick(plain.data),
  });
  if (!wire.answer.data) break;
  answers[step.name] = wire.answer.data;
}
tell(steps);
