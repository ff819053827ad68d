// GraphQL over HTTP as the signed-in person.

import { accessToken, language } from "./session.js";

/** Send one operation; returns its answer, the HTTP status and the milliseconds it took. */
export async function send(operation, signal) {
  const started = performance.now();
  let answer = await post(operation, await accessToken(), signal);
  if (answer.status === 401) {
    // The issuer's clock or a restart may have ended the token early: one renewal, one more try.
    const fresh = await accessToken(true);
    if (fresh) answer = await post(operation, fresh, signal);
  }
  const text = await answer.text();
  let body;
  try {
    body = JSON.parse(text);
  } catch {
    body = { errors: [{ message: text.slice(0, 2000) || `HTTP ${answer.status}` }] };
  }
  return { body, status: answer.status, milliseconds: Math.round(performance.now() - started) };
}

function post(operation, token, signal) {
  const headers = {
    "Content-Type": "application/json",
    Accept: "application/graphql-response+json, application/json;q=0.9",
    "Accept-Language": language,
  };
  if (token) headers.Authorization = `Bearer ${token}`;
  return fetch("/graphql", { method: "POST", headers, body: JSON.stringify(operation), signal });
}

/** The data of an operation; throws with the first message when there are errors. */
export async function ask(query, variables = {}) {
  const { body } = await send({ query, variables });
  if (body.errors?.length) throw new Error(body.errors[0].message);
  return body.data;
}
