// urql as an application sets it up, with its document cache.

import { Client, cacheExchange, fetchExchange } from "@urql/core";
import { kind } from "./documents.mjs";

export function urql(url, fetch) {
  const client = new Client({
    url,
    fetch,
    preferGetMethod: false,
    requestPolicy: "network-only",
    exchanges: [cacheExchange, fetchExchange],
  });
  return async (document, variables) => {
    const act = kind(document) === "mutation" ? "mutation" : "query";
    const { data, error } = await client[act](document, variables).toPromise();
    if (error) throw error;
    return data;
  };
}
