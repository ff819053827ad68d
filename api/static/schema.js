// The schema beside the editor, read by introspection: types with their fields and arguments, to be searched.

import { send } from "./graphql.js";
import { text } from "./texts.js";

const element = (id) => document.getElementById(id);

const INTROSPECTION = `
query Introspection {
  __schema {
    queryType { name }
    mutationType { name }
    subscriptionType { name }
    types {
      kind
      name
      description
      interfaces { name }
      possibleTypes { name }
      enumValues(includeDeprecated: true) { name description }
      inputFields { name description defaultValue type { ...Reference } }
      fields(includeDeprecated: true) {
        name
        description
        deprecationReason
        type { ...Reference }
        args { name description defaultValue type { ...Reference } }
      }
    }
  }
}
fragment Reference on __Type {
  kind
  name
  ofType { kind name ofType { kind name ofType { kind name ofType { kind name } } } }
}`;

let types = [];

export async function showSchema() {
  const { body } = await send({ query: INTROSPECTION, operationName: "Introspection" }).catch((error) => ({
    body: { errors: [error] },
  }));
  if (!body.data) {
    element("schema-status").textContent = text("no_schema", { problem: body.errors?.[0]?.message ?? "" });
    return;
  }
  types = ordered(body.data.__schema);
  element("search").addEventListener("input", () => list(element("search").value));
  list("");
}

/** The roots first, then the others by name; those of introspection itself are left out. */
function ordered(schema) {
  const roots = [schema.queryType, schema.mutationType, schema.subscriptionType].map((type) => type?.name);
  const rank = (type) => (roots.includes(type.name) ? roots.indexOf(type.name) : roots.length);
  return schema.types
    .filter((type) => !type.name.startsWith("__"))
    .sort((one, other) => rank(one) - rank(other) || one.name.localeCompare(other.name));
}

/** What of a type fits the search: the whole type by its name, else the members that fit. */
function fitting(type, words) {
  const fits = (...texts) => words.every((word) => texts.some((part) => part?.toLowerCase().includes(word)));
  const members = [...(type.fields ?? []), ...(type.inputFields ?? []), ...(type.enumValues ?? [])];
  if (fits(type.name)) return { whole: true, members };
  const found = members.filter((member) =>
    fits(type.name, member.name, member.description, ...(member.args ?? []).map((argument) => argument.name)),
  );
  return { whole: found.length > 0 || fits(type.name, type.description), members: found };
}

function list(search) {
  const words = search.toLowerCase().split(/[\s.]+/).filter(Boolean);
  const found = types.map((type) => ({ type, ...fitting(type, words) })).filter((entry) => entry.whole);
  const open = words.length > 0 && found.length <= 20;
  element("schema").replaceChildren(...found.map((entry) => typeEntry(entry, open)));
  element("schema-status").textContent = text("found", { count: found.length });
}

function make(tag, className, ...children) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.append(...children);
  return made;
}

/** Members are made when the entry is opened: a schema has thousands. */
function typeEntry({ type, members }, open) {
  const entry = make("details", "type");
  entry.id = `type-${type.name}`;
  entry.append(make("summary", "", make("code", "", type.name), " ", make("small", "quiet", type.kind.toLowerCase())));
  const fill = () => {
    if (entry.open && entry.childElementCount === 1) entry.append(...typeBody(type, members));
  };
  entry.addEventListener("toggle", fill);
  entry.open = open;
  fill();
  return entry;
}

function typeBody(type, members) {
  const parts = [];
  if (type.description) parts.push(make("p", "quiet", type.description));
  const related = [
    ["implements", type.interfaces],
    ["one_of", type.possibleTypes],
  ];
  for (const [label, names] of related) {
    if (names?.length) {
      const links = names.flatMap(({ name }, index) => (index ? [", ", typeLink(name)] : [typeLink(name)]));
      parts.push(make("p", "quiet", `${text(label)} `, ...links));
    }
  }
  if (members.length) parts.push(make("ul", "members", ...members.map(memberItem)));
  return parts;
}

function memberItem(member) {
  const line = make("code", "", make("b", "", member.name));
  const several = member.args?.length ?? 0;
  if (several) {
    line.append("(");
    member.args.forEach((argument, index) => line.append(index ? ", " : "", ...signature(argument)));
    line.append(")");
  }
  if (member.type) line.append(": ", ...reference(member.type));
  if (member.defaultValue) line.append(` = ${member.defaultValue}`);
  const item = make("li", member.deprecationReason ? "deprecated" : "", line);
  if (member.description) item.append(make("p", "quiet", member.description));
  if (member.deprecationReason) item.append(make("p", "quiet", member.deprecationReason));
  return item;
}

function signature(argument) {
  const parts = [`${argument.name}: `, ...reference(argument.type)];
  if (argument.defaultValue) parts.push(` = ${argument.defaultValue}`);
  if (!argument.description) return parts;
  const described = make("span", "", ...parts);
  described.title = argument.description;
  return [described];
}

/** The type as GraphQL writes it, its name being the way to its entry. */
function reference(type) {
  if (type.kind === "NON_NULL") return [...reference(type.ofType), "!"];
  if (type.kind === "LIST") return ["[", ...reference(type.ofType), "]"];
  return [typeLink(type.name)];
}

function typeLink(name) {
  const link = make("button", "link", name);
  link.type = "button";
  link.addEventListener("click", () => {
    element("search").value = "";
    list("");
    const entry = element(`type-${name}`);
    if (!entry) return;
    entry.open = true;
    entry.scrollIntoView({ block: "nearest" });
    entry.querySelector("summary").focus();
  });
  return link;
}
