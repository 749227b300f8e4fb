// The command that does what a view shows, as a shell takes it.
import { author, token } from "./state.js";

export const quoted = (text) => (/^[\w@%+=:,./-]+$/.test(text) ? text : `'${String(text).replaceAll("'", `'\\''`)}'`);

const here = () => location.host;
const withToken = () => (token.value ? " --token $TOKEN" : "");

export const gateway = (words, ...more) => `gateway ${[...words.map(quoted), ...more].join(" ")} --server ${here()}${withToken()}`;

export function curl(method, path, { body, match, accept } = {}) {
  const parts = ["curl"];
  if (method !== "GET") parts.push("-X", method);
  parts.push(quoted(location.origin + path));
  if (token.value) parts.push('-H "Authorization: Bearer $TOKEN"');
  if (method !== "GET" && author.value) parts.push("-H", quoted(`X-Author: ${author.value}`));
  if (match) parts.push("-H", quoted(`If-Match: ${match}`));
  if (accept) parts.push("-H", quoted(`Accept: ${accept}`));
  if (body !== undefined) {
    parts.push("-H", quoted(`Content-Type: ${typeof body === "string" ? "application/yaml" : "application/json"}`));
    parts.push(typeof body === "string" ? "--data-binary" : "-d", quoted(typeof body === "string" ? body : JSON.stringify(body)));
  }
  return parts.join(" ");
}

// `--token` of a release server's commands, and who asks where there are no users.
export const release = (...words) =>
  `gateway release ${words.filter((word) => word !== "").map(quoted).join(" ")} --server ${here()}` +
  (token.value ? withToken() : author.value ? ` --as ${quoted(author.value)}` : "");

// The words of a command line, as a POSIX shell splits them; $'…' as bash does.
export function words(text) {
  const found = [];
  let word = null;
  for (let at = 0; at < text.length; at++) {
    const letter = text[at];
    if (/\s/.test(letter)) {
      if (word !== null) found.push(word);
      word = null;
    } else if (letter === "'" || (letter === "$" && text[at + 1] === "'")) {
      const isBash = letter === "$";
      word ??= "";
      for (at += isBash ? 2 : 1; at < text.length && text[at] !== "'"; at++) {
        if (isBash && text[at] === "\\") word += { n: "\n", r: "\r", t: "\t" }[text[++at]] ?? text[at];
        else word += text[at];
      }
    } else if (letter === '"') {
      word ??= "";
      for (at++; at < text.length && text[at] !== '"'; at++) {
        if (text[at] === "\\" && '"\\$`\n'.includes(text[at + 1])) at++;
        if (text[at] !== "\n" || text[at - 1] !== "\\") word += text[at];
      }
    } else if (letter === "\\") {
      if (text[++at] === "\r") at++;
      if (text[at] !== "\n" && at < text.length) word = (word ?? "") + text[at];
    } else {
      word = (word ?? "") + letter;
    }
  }
  if (word !== null) found.push(word);
  return found;
}

const TAKES = new Set(["-o", "--output", "-m", "--max-time", "--connect-timeout", "-x", "--proxy", "--cacert", "-E", "--cert",
  "--key", "-w", "--write-out", "--resolve", "-c", "--cookie-jar", "--retry", "-F", "--form", "-T", "--upload-file"]);
const LONG = { "--request": "-X", "--header": "-H", "--cookie": "-b", "--user-agent": "-A", "--referer": "-e", "--user": "-u",
  "--head": "-I", "--get": "-G", "--data": "-d", "--data-raw": "-d", "--data-binary": "-d", "--data-ascii": "-d", "--data-urlencode": "-d" };

// {method, url, headers, body} of a pasted curl command. Raises Error.
export function parseCurl(text) {
  const given = words(text.trim());
  if (!/(^|\/)curl(\.exe)?$/.test(given.shift() || "")) throw new Error("curl …");
  let method = "";
  let url = "";
  let isGet = false;
  const headers = [];
  const data = [];
  while (given.length) {
    let name = given.shift();
    let value;
    if (/^--[^=]+=/.test(name)) [name, value] = [name.slice(0, name.indexOf("=")), name.slice(name.indexOf("=") + 1)];
    name = LONG[name] || name;
    const joined = /^-[XHdbAeu]./.test(name) && !name.startsWith("--");
    if (joined) [name, value] = [name.slice(0, 2), name.slice(2)];
    const next = () => value ?? given.shift() ?? "";
    if (name === "-X") method = next();
    else if (name === "-H") {
      const field = next();
      const at = field.indexOf(":");
      if (at > 0) headers.push([field.slice(0, at).trim(), field.slice(at + 1).trim()]);
    } else if (name === "-d") data.push(next());
    else if (name === "--json") { data.push(next()); headers.push(["Content-Type", "application/json"]); }
    else if (name === "-b") headers.push(["Cookie", next()]);
    else if (name === "-A") headers.push(["User-Agent", next()]);
    else if (name === "-e") headers.push(["Referer", next()]);
    else if (name === "-u") headers.push(["Authorization", `Basic ${btoa(next())}`]);
    else if (name === "-I") method ||= "HEAD";
    else if (name === "-G") isGet = true;
    else if (name === "--url") url = next();
    else if (TAKES.has(name)) next();
    else if (!name.startsWith("-")) url = name;
  }
  if (!url) throw new Error("curl URL");
  let body = data.join("&");
  if (isGet && body) { url += (url.includes("?") ? "&" : "?") + body; body = ""; }
  const hasType = headers.some(([name]) => name.toLowerCase() === "content-type");
  if (body && !hasType) headers.push(["Content-Type", "application/x-www-form-urlencoded"]);
  return { method: method || (body ? "POST" : "GET"), url, headers, body };
}
