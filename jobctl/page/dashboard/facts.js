// What a job's page says of the job beside its stages, and the commands that do the same. Pure functions.

import { isActive } from "./model.js";

const ID = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,63}$/;

/** Whether a job can have this id. */
export function isId(text) {
  return ID.test(text) && text !== "__proto__";
}

/** The word as a shell takes it: quoted if it has to be. */
export function quote(word) {
  const text = String(word);
  return text !== "" && /^[A-Za-z0-9@%+=:,./_-]+$/.test(text) ? text : `'${text.replaceAll("'", `'"'"'`)}'`;
}

/** The command line of words. */
export function commandLine(words) {
  return words.map(quote).join(" ");
}

/**
 * The address of a session, made from the template; null without one, and for an id that would
 * change the path. Only http and https are followed.
 */
export function sessionHref(template, id) {
  if (!template || typeof id !== "string" || id === "" || /^\.{1,2}$/.test(id)) return null;
  try {
    const url = new URL(template.replaceAll("{id}", encodeURIComponent(id)));
    return url.protocol === "https:" || url.protocol === "http:" ? url.href : null;
  } catch {
    return null; // half of a surrogate pair, which no URL has
  }
}

/** The address of the hub for `--url`: this page's. */
export function hubUrl(location, socket) {
  const scheme = location.protocol === "https:" ? "wss:" : "ws:";
  return `${scheme}//${location.host}${socket === "/ws/jobs" ? "" : socket}`;
}

/** Whether the page comes from this machine, so that a path of the hub's machine is valid here. */
export function isLocal({ hostname }) {
  return /^(localhost|.*\.localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(hostname);
}

/**
 * The commands for a terminal that do what a reader of this job may want: [{what, line, there}].
 * `there` says that the command is for the hub's machine. `can` are the rights of this session, without
 * which the hub does not change jobs for a command; then it needs the directory.
 */
export function commandsOf(job, { place, url, local, readOnly, can = [] }) {
  const reads = place !== null && local ? ["--dir", place] : ["--url", url];
  const onDisk = place !== null && !readOnly ? ["--dir", place] : null;
  const isAsked = can.includes("operate") && !(onDisk && local);
  const acts = isAsked ? ["--url", url] : onDisk, isThere = !isAsked && !local;
  const { id } = job, active = isActive(job), lost = job.derived?.lost ?? false;
  const found = [];
  const add = (what, words, there = false) => found.push({ what, line: commandLine(["jobctl", ...words]), there });
  add("Show it", ["show", id, ...reads]);
  if (active && !lost) add("Wait until it ends", ["wait", id, ...reads]);
  if (isRun(job) && place !== null) {
    add(active ? "Follow its log" : "Read its log", ["logs", ...(active ? ["-f"] : []), id, ...reads]);
  }
  if (lost && onDisk) add("Fail it, since its worker has died", ["reap", ...onDisk], !local);
  if (acts && active && !lost) add("Cancel it", ["cancel", id, ...acts], isThere);
  const reruns = isRun(job) && job.run.exact !== false && onDisk !== null;
  if (job.stage === "failed" && reruns) add("Run it again", ["retry", "--rerun", id, ...onDisk], !local);
  else if (job.stage === "failed" && acts) add("Retry it", ["retry", id, ...acts], isThere);
  return found;
}

/** Whether the job is of `jobctl run`. */
export function isRun({ run }) {
  return typeof run === "object" && run !== null && !Array.isArray(run);
}

/** The command line of `jobctl run`, or "". */
export function argvOf(job) {
  const argv = isRun(job) ? job.run.argv : null;
  return Array.isArray(argv) && argv.every((word) => typeof word === "string") ? commandLine(argv) : "";
}

/** The last lines of standard error that the job keeps, or "". */
export function stderrOf(job) {
  const lines = isRun(job) ? job.run.stderr : null;
  return Array.isArray(lines) ? lines.map(String).join("\n") : "";
}

/** Bytes for people: `3.2 MB`. */
export function sizeText(bytes) {
  if (!Number.isFinite(bytes) || bytes < 0) return "";
  if (bytes < 1000) return `${bytes} bytes`;
  const units = ["kB", "MB", "GB", "TB"];
  let size = bytes / 1000;
  while (size >= 999.5 && units.length > 1) {
    size /= 1000;
    units.shift();
  }
  return `${size < 99.5 ? size.toFixed(1) : Math.round(size)} ${units[0]}`;
}

/** How the command ended: its exit code, or the signal. "" if that is not known. */
export function endText(job) {
  if (!isRun(job)) return "";
  const { exitCode, signal } = job.run;
  if (typeof signal === "string" && signal) return signal;
  return Number.isInteger(exitCode) ? `exit code ${exitCode}` : "";
}

/** Any JSON value on several lines. The page's own keys are left out of a record. */
export function prettyJson(value) {
  return JSON.stringify(value, (key, held) => (held === undefined ? null : held), 2);
}

/** The record as the hub sent it. */
export function rawRecord(job) {
  const { derived, ...record } = job;
  return record;
}
