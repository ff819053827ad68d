// The tour's answers: a variable of an example may be {"$from": example, "path": …}, which stands for what that
// example was answered in this tab, or {"$now": "+PT1H"}, an instant so far ahead. The same rule is in
// api/tour/__init__.py.

import { text } from "./texts.js";

const ANSWERS = "kinship.tour";

function answers() {
  try {
    return JSON.parse(sessionStorage.getItem(ANSWERS)) ?? {};
  } catch {
    return {};
  }
}

export function keepAnswer(name, data) {
  try {
    sessionStorage.setItem(ANSWERS, JSON.stringify({ ...answers(), [name]: data }));
  } catch {
    // An answer too large to keep is one that no later example asks for.
  }
}

/** The variables with what they point at; throws where the example that they need has not been answered. */
export function resolved(value) {
  if (Array.isArray(value)) return value.map(resolved);
  if (value === null || typeof value !== "object") return value;
  if (typeof value.$from === "string") return partOf(value.$from, String(value.path));
  if (typeof value.$now === "string") return ahead(value.$now);
  return Object.fromEntries(Object.entries(value).map(([name, part]) => [name, resolved(part)]));
}

/** The instant that lies this many hours or minutes ahead, in ISO 8601. */
function ahead(duration) {
  const [, count, unit] = /^\+PT(\d{1,6})([HM])$/.exec(duration) ?? [];
  if (!unit) throw new SyntaxError(duration);
  return new Date(Date.now() + Number(count) * (unit === "H" ? 3_600_000 : 60_000)).toISOString();
}

function partOf(name, path) {
  const found = path.split(".").reduce((part, step) => part?.[step], answers()[name]);
  if (found === undefined || found === null) throw new Error(text("run_first", { name }));
  return found;
}
