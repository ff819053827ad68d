// What the clients of both live transports do alike: they have the same `iterate`.

export async function answers(client, payload) {
  const found = [];
  for await (const one of client.iterate(payload)) found.push(one);
  return found;
}

/**
 * The first message of a subscription, brought by an act of somebody; then the client completes the subscription, and
 * goes on by the cursor with what another act has brought meanwhile.
 */
export async function firstMessage(client, url, { subscription, variables, act }) {
  const stream = client.iterate({ query: subscription, variables });
  let heard = false;
  const first = stream.next().finally(() => (heard = true));
  // Nothing tells a client that its subscription listens by now, so the act is done until it is heard.
  while (!heard) {
    await post(url, act);
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
  const { value } = await first;
  const { done } = await stream.return();
  await post(url, act);
  const after = value.extensions.cursor;
  const again = client.iterate({ query: subscription, variables: { ...variables, after } });
  const { value: missed } = await again.next();
  await again.return();
  return { message: value.data, done, missed: missed.data, moved: missed.extensions.cursor !== after };
}

async function post(url, { token, query, variables }) {
  const headers = { "content-type": "application/json", authorization: `Bearer ${token}` };
  await fetch(url, { method: "POST", headers, body: JSON.stringify({ query, variables }) });
}
