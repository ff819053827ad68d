// What the scripts say, in both languages; the texts of the pages themselves come with the pages.

import { language } from "./session.js";

const TEXTS = {
  signed_in_as: { zh: "已登录：{name}", en: "Signed in as {name}" },
  nobody: { zh: "未登录", en: "Not signed in" },
  failed: { zh: "登录没有成功（{code}）。请重试。", en: "The sign-in did not work ({code}). Please try again." },
  access_denied: { zh: "登录已取消。", en: "The sign-in was cancelled." },
  issuer_unavailable: { zh: "登录服务没有响应，请稍后再试。", en: "The sign-in service does not answer. Please try again later." },
  state_mismatch: {
    zh: "此登录不是从这个页面开始的，或已经完成。请重新登录。",
    en: "This sign-in did not start here, or is already done. Please sign in again.",
  },
  no_network: { zh: "无法连接到服务器。", en: "The server cannot be reached." },
  welcome: { zh: "欢迎，{name}。", en: "Welcome, {name}." },
  claimed: { zh: "已确认，感谢。", en: "Confirmed, thank you." },
  running: { zh: "运行中……", en: "Running…" },
  took: { zh: "HTTP {status} · {milliseconds} 毫秒", en: "HTTP {status} · {milliseconds} ms" },
  bad_variables: { zh: "变量不是 JSON 对象：{problem}", en: "The variables are not a JSON object: {problem}" },
  run_first: { zh: "请先运行示例 {name}。", en: "Run the example {name} first." },
  copied: { zh: "已复制", en: "Copied" },
  no_schema: { zh: "无法读取模式：{problem}", en: "The schema cannot be read: {problem}" },
  found: { zh: "{count} 个类型", en: "{count} types" },
  implements: { zh: "实现", en: "implements" },
  one_of: { zh: "为以下之一", en: "is one of" },
};

/** The text in the page's language, with its {names} filled in. */
export function text(key, values = {}) {
  const found = TEXTS[key]?.[language] ?? key;
  return found.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}

/** What a person reads about a sign-in that failed. */
export function problem(error) {
  if (error instanceof TypeError) return text("no_network");
  if (!error.code) return error.message;
  return error.code in TEXTS ? text(error.code) : text("failed", { code: error.message });
}
