// The server audits of graphql-http: each requirement of GraphQL over HTTP with how it was met.

import { auditServer } from "graphql-http";
import { tell, told } from "./told.mjs";

const { url, token } = await told();

function asSomebody(address, request = {}) {
  return fetch(address, { ...request, headers: { ...request.headers, authorization: `Bearer ${token}` } });
}

const results = await auditServer({ url, fetchFn: asSomebody });
tell(
  results.map(({ id, name, status, reason }) => ({ id, name, status, reason: reason ?? null })),
);
