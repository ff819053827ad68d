// Apollo Client as an application sets it up: one normalised cache for each person who is signed in.

import { ApolloClient, HttpLink, InMemoryCache, gql } from "@apollo/client/core";
import { kind } from "./documents.mjs";

export function apollo(url, fetch, possibleTypes) {
  const client = new ApolloClient({
    link: new HttpLink({ uri: url, fetch }),
    cache: new InMemoryCache({ possibleTypes }),
  });
  return async (document, variables) => {
    if (kind(document) === "mutation") {
      return (await client.mutate({ mutation: gql(document), variables })).data;
    }
    return (await client.query({ query: gql(document), variables, fetchPolicy: "network-only" })).data;
  };
}
