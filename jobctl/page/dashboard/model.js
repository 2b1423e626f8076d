// What the dashboard says of one job: its name, kind, stages, percent, times in words, and its place
// in the order. Pure functions. What a record means is said by client.js; the words and the order are
// those of `jobctl ls` and `jobctl watch` (core/times.py, core/pipeline.py, cli/job_table/ranks.py).

import {
  beganMs, cancellation, endedMs, enteredMs, isAcknowledged, isCancelled, knownMs, lastStage,
  movedByOthers,
} from "../client.js";

/** What the table needs of each job. */
export const TABLE_FIELDS = [
  "type", "sessionId", "stage", "createdAt", "updatedAt", "completedAt", "stageStartedAt", "error",
  "retryCount", "title", "message", "progress", "stages", "owner", "host", "user", "parent", "labels",
  "cancelled", "acknowledged",
];

/** How long a failure stands at the top. */
export const TROUBLE_MS = 86400000;

const PENDING = { name: "pending", label: "Queued", percent: 0 };
const COMPLETED = { name: "completed", label: "Completed", percent: 100 };
/** The stages in which a job has ended. */
export const ENDED = new Set(["completed", "failed"]);

/** Whether the job has not ended. */
export function isActive(job) {
  return !ENDED.has(job.stage);
}

// -- words ----------------------------------------------------------------------------------------

/** `850ms`, `12s`, `3m05s`, `2h07m`, `4d03h`; an empty text if it is not known. */
export function duration(ms) {
  if (!Number.isFinite(ms)) return "";
  if (ms < 1000) return `${Math.max(0, Math.floor(ms))}ms`;
  const seconds = Math.floor(ms / 1000);
  const two = (number) => String(number).padStart(2, "0");
  if (seconds < 60) return `${seconds}s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m${two(seconds % 60)}s`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)}h${two(Math.floor((seconds % 3600) / 60))}m`;
  return `${Math.floor(seconds / 86400)}d${two(Math.floor((seconds % 86400) / 3600))}h`;
}

/** A duration that grows while it is shown: without what changes faster than once a second. */
export function wholeSeconds(ms) {
  return Number.isFinite(ms) ? duration(Math.max(0, Math.floor(ms / 1000)) * 1000).replace(/^0ms$/, "0s") : "";
}

/** A count with separators: `10,243`. */
export function countText(number) {
  return String(number).replace(/\B(?=(\d{3})+$)/g, ",");
}

/** The age in one unit: `5s ago`, `12m ago`, `3h ago`, `9d ago`; empty if it is not known. */
export function ago(ms, nowMs) {
  if (!Number.isFinite(ms)) return "";
  const seconds = Math.floor(Math.max(0, nowMs - ms) / 1000);
  for (const [limit, size, unit] of [[60, 1, "s"], [3600, 60, "m"], [86400, 3600, "h"]])
    if (seconds < limit) return `${Math.floor(seconds / size)}${unit} ago`;
  return `${Math.floor(seconds / 86400)}d ago`;
}

/** A time to the millisecond, in the reader's zone: `2026-11-28 18:05:09.120 +01:00`. */
export function exactTime(ms) {
  if (!Number.isFinite(ms)) return "";
  const at = new Date(ms), two = (number) => String(number).padStart(2, "0");
  const ahead = -at.getTimezoneOffset(), size = Math.abs(ahead);
  const zone = `${ahead < 0 ? "-" : "+"}${two(Math.floor(size / 60))}:${two(size % 60)}`;
  const day = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
  const time = `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
  return `${day} ${time}.${String(at.getMilliseconds()).padStart(3, "0")} ${zone}`;
}

/** What people call the job: its title, or the label of its type, or its type. */
export function nameOf(job, pipelineOf) {
  return String(job.title || pipelineOf(job.type).label || job.type || job.id);
}

/** Who works on it: `user@host`, or a part of it, or the process on this machine. */
export function workerOf(job) {
  const text = (value) => (typeof value === "string" ? value : "");
  const user = text(job.user), host = text(job.host);
  if (user || host) return user && host ? `${user}@${host}` : user || host;
  const process = /^([0-9]+)-/.exec(text(job.owner));
  return process ? `pid ${process[1]}` : "";
}

/** The error, or who cancelled the job and why; empty without either. */
export function errorOf(job) {
  const said = cancellation(job);
  if (said === null) return job.error === null || job.error === undefined ? "" : String(job.error);
  return `Cancelled by ${said.by ?? "user"}${said.reason ? `: ${said.reason}` : ""}`;
}

// -- stages ---------------------------------------------------------------------------------------

/** The job's stages from pending to completed: [{name, label, percent}]. See Pipelines.find. */
export function stagesOf(job, pipelineOf) {
  const known = pipelineOf(job.type).stages;
  if (!Array.isArray(job.stages)) return known.length ? known : [PENDING, COMPLETED];
  const own = job.stages.filter((name) => name !== "pending" && !ENDED.has(name));
  if (known.length === own.length + 2 && own.every((name, at) => known[at + 1].name === name)) return known;
  return evenly(own, (name) => labelOf(name, known));
}

function evenly(names, label = (name) => String(name)) {
  const steps = names.length + 1;
  const middle = names.map((name, at) => (
    { name, label: label(name), percent: Math.floor((100 * (at + 1)) / steps) }));
  return [PENDING, ...middle, COMPLETED];
}

function labelOf(name, stages) {
  return stages.find((stage) => stage.name === name)?.label ?? String(name);
}

/** The progress within the stage: {fraction, text}; null if it is not known. */
export function progressOf(job) {
  if (!isActive(job) || movedByOthers(job)) return null; // else it is of another stage
  const { progress } = job;
  if (typeof progress === "number") {
    return { fraction: Math.min(1, Math.max(0, progress / 100)), text: `${Math.round(progress)}%` };
  }
  const { done, total } = progress ?? {};
  if (typeof done !== "number" || typeof total !== "number" || !(total > 0)) return null;
  return { fraction: Math.min(1, Math.max(0, done / total)), text: `${done}/${total}` };
}

/** How much of the whole is done, 0 to 100; null if it is not known. See Job.percent_of. */
export function percentOf(job, stages) {
  const fraction = progressOf(job)?.fraction ?? 0;
  const isOpen = stages.length === 2 && job.stage !== "pending" && isActive(job);
  if (isOpen && job.progress !== null && job.progress !== undefined) return Math.floor(100 * fraction + 1e-9);
  const at = stages.findIndex(({ name }) => name === job.stage);
  if (at < 0) return null;
  const here = stages[at].percent;
  if (at + 1 >= stages.length) return here;
  return Math.floor(here + (stages[at + 1].percent - here) * fraction + 1e-9);
}

/**
 * The strip of the job's stages: {stages: [{label, state}], at, fraction, text}. A state is `done`,
 * `now`, `stopped` (in which the job failed, was cancelled or is lost) or `ahead`.
 */
export function stripOf(job, stages) {
  const middle = stages.slice(1, -1);
  const isDone = job.stage === "completed", isOver = !isActive(job) || job.derived.lost;
  const last = isActive(job) ? job.stage : lastStage(job);
  const at = isDone ? middle.length : middle.findIndex(({ name }) => name === last);
  const marks = middle.map(({ label }, index) => ({
    label, state: index < at ? "done" : index > at ? "ahead" : isOver ? "stopped" : "now",
  }));
  const fraction = isDone ? 1 : (progressOf(job)?.fraction ?? 0);
  const count = middle.length;
  let text = "";
  if (count && at >= 0) text = isDone ? `All ${count} stages done` : `Stage ${at + 1} of ${count}: ${middle[at].label}`;
  else if (count) text = `${count} stages: none begun`;
  return { stages: marks, at, fraction, text };
}

// -- a row ----------------------------------------------------------------------------------------

/**
 * What a row says of a job, except for what the time changes. `worker` is the job whose stage,
 * progress and message the row shows: the job itself, or its only child (see order.js).
 */
export function describe(job, worker, kind, pipelineOf) {
  const isOwn = worker === job;
  const own = isOwn ? stagesOf(job, pipelineOf) : mergedStages(job, worker, pipelineOf);
  const shown = isOwn ? job : { ...worker, derived: { ...worker.derived, lost: job.derived.lost } };
  const progress = progressOf(shown);
  const isTold = isActive(job) && !movedByOthers(worker) && worker.message;
  const name = isCancelled(job) ? "cancelled" : worker.stage;
  const stage = STAGE_LABELS[name] ?? labelOf(name, own);
  const mark = kind === "lost" || kind === "stalled" ? `${kind} in ` : "";
  const known = (kind === "lost" || kind === "failed") && isAcknowledged(job);
  return {
    name: String(worker.title || nameOf(job, pipelineOf)), kind, isKnown: known,
    stage: mark + stage + (known ? ", acknowledged" : ""),
    percent: job.stage === "failed" ? null : percentOf(shown, own),
    progress: progress?.text ?? "", strip: stripOf(shown, own),
    message: isTold ? String(worker.message) : "", error: errorOf(job), who: workerOf(worker),
  };
}

const STAGE_LABELS = { __proto__: null, pending: "Queued", completed: "Completed", failed: "Failed", cancelled: "Cancelled" };

function mergedStages(job, worker, pipelineOf) {
  const names = stagesOf(worker, pipelineOf).slice(1, -1);
  if (!names.length) return stagesOf({ ...job, stages: null }, pipelineOf);
  return evenly(names.map(({ name }) => name), (name) => labelOf(name, names));
}

/** When the present attempt began and ended, and how long it took: {began, ended, took}, in ms. */
export function timesOf(job, nowMs) {
  const began = beganMs(job), active = isActive(job);
  const until = endedMs(job, nowMs);
  return { began, ended: active ? NaN : until, took: Math.max(0, until - began) };
}

// -- the order ------------------------------------------------------------------------------------

const TROUBLE = 0, STALLED = 10, RUNNING = 20, WAITING = 30, OVER = 40;

/**
 * Where the job stands, and what it is counted as: {kind, rank, time, until}. It holds before
 * `until` (in ms), or as long as the job is the same. See standing() in cli/job_table/ranks.py.
 */
export function standing(job, nowMs, pipelineOf) {
  if (!isActive(job)) return endedStanding(job, nowMs);
  if (job.derived.lost) return lostStanding(job, nowMs);
  const time = -(knownMs(job.createdAt) || 0);
  if (job.stage === "pending") return { kind: "pending", rank: WAITING, time, until: Infinity };
  const { stalledMs } = pipelineOf(job.type);
  const stallsAt = stalledMs === null ? Infinity : enteredMs(job) + stalledMs + 1;
  if (nowMs >= stallsAt) return { kind: "stalled", rank: STALLED, time, until: Infinity };
  return { kind: "running", rank: RUNNING, time, until: Number.isNaN(stallsAt) ? Infinity : stallsAt };
}

function endedStanding(job, nowMs) {
  const ended = endedMs(job, nowMs) || 0, time = -ended;
  const kind = isCancelled(job) ? "cancelled" : job.stage;
  const isTrouble = kind === "failed" && nowMs < ended + TROUBLE_MS && !isAcknowledged(job);
  if (isTrouble) return { kind, rank: TROUBLE, time, until: ended + TROUBLE_MS };
  return { kind, rank: OVER, time, until: Infinity };
}

function lostStanding(job, nowMs) {
  const seen = knownMs(job.updatedAt) || 0, time = -seen;
  if (isAcknowledged(job)) return { kind: "lost", rank: OVER, time, until: Infinity };
  if (nowMs < seen + TROUBLE_MS) return { kind: "lost", rank: TROUBLE, time, until: seen + TROUBLE_MS };
  return { kind: "lost", rank: STALLED, time, until: Infinity };
}
