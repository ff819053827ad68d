// What the walks with both clients share: variables that point at earlier answers, and answers without __typename.

import { getOperationAST, parse } from "graphql";

export function kind(document) {
  return getOperationAST(parse(document)).operation;
}

/** The same rule as in api/tour/__init__.py. */
export function variablesOf(value, answers) {
  if (Array.isArray(value)) return value.map((part) => variablesOf(part, answers));
  if (value === null || typeof value !== "object") return value;
  if (value.$from) return value.path.split(".").reduce((part, step) => part[step], answers[value.$from]);
  if (value.$now) return ahead(value.$now);
  return Object.fromEntries(Object.entries(value).map(([name, part]) => [name, variablesOf(part, answers)]));
}

function ahead(duration) {
  const [, count, unit] = /^\+PT(\d+)([HM])$/.exec(duration);
  return new Date(Date.now() + Number(count) * (unit === "H" ? 3_600_000 : 60_000)).toISOString();
}

/** Data without the names of types, which clients with a cache add to every selection. */
export function pick(value) {
  if (Array.isArray(value)) return value.map(pick);
  if (value === null || typeof value !== "object") return value;
  const parts = Object.entries(value).filter(([name]) => name !== "__typename");
  return Object.fromEntries(parts.map(([name, part]) => [name, pick(part)]));
}
