// The client of graphql-ws: a query, a live subscription that it completes, pings, and who is refused with which code.

import { createClient } from "graphql-ws";
import WebSocket from "ws";
import { answers, firstMessage } from "./live.mjs";
import { tell, told } from "./told.mjs";

const { url, token, ...followed } = await told();
const signedIn = { Authorization: `Bearer ${token}` };
const ASK = { query: "{ viewer { subject } }" };

function client(connectionParams, options = {}) {
  const address = url.replace(/^http/, "ws");
  return createClient({ url: address, webSocketImpl: WebSocket, retryAttempts: 0, connectionParams, ...options });
}

/** With what the server ends the connection of somebody who says this when it opens. */
async function refusal(connectionParams) {
  try {
    return { answers: await answers(client(connectionParams), ASK) };
  } catch (closed) {
    return { code: closed.code, reason: closed.reason };
  }
}

/** The codes of an operation that never ran. */
async function invalid(open) {
  try {
    return { answers: await answers(open, { query: "{ nothing }" }) };
  } catch (errors) {
    return errors.map((error) => error.extensions.code);
  }
}

/** Whether the server answers the ping that the client sends by itself. */
function ponged() {
  return new Promise((resolve, reject) => {
    const pinging = client(signedIn, {
      lazy: false,
      keepAlive: 100,
      onNonLazyError: reject,
      on: {
        pong: (received) => {
          if (!received) return;
          resolve(true);
          pinging.dispose();
        },
      },
    });
  });
}

const open = client(signedIn);
tell({
  query: await answers(open, ASK),
  invalid: await invalid(open),
  pong: await ponged(),
  live: await firstMessage(open, url, followed),
  afterwards: await answers(open, ASK),
  nobody: await refusal({}),
  forged: await refusal({ Authorization: "Bearer not.a.token" }),
});
