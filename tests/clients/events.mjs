// The client of graphql-sse in distinct connections mode: a query, a live subscription, and who is refused.

import { createClient } from "graphql-sse";
import { answers, firstMessage } from "./live.mjs";
import { tell, told } from "./told.mjs";

const { url, token, ...followed } = await told();
const ASK = { query: "{ viewer { subject } }" };

function client(headers) {
  return createClient({ url, singleConnection: false, retryAttempts: 0, headers });
}

/** The status with which somebody is refused. */
async function refusal(headers) {
  try {
    return { answers: await answers(client(headers), ASK) };
  } catch (error) {
    return error.response?.status ?? String(error);
  }
}

const open = client({ Authorization: `Bearer ${token}` });
tell({
  query: await answers(open, ASK),
  invalid: await answers(open, { query: "{ nothing }" }),
  live: await firstMessage(open, url, followed),
  afterwards: await answers(open, ASK),
  nobody: await refusal({}),
  forged: await refusal({ Authorization: "Bearer not.a.token" }),
});
