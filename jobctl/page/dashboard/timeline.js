// When a job was in which stage, in each of its attempts. Pure functions; see Job.timeline.

import { endedMs, enteredMs, isCancelled, knownMs, movedByOthers } from "../client.js";
import { ENDED, isActive } from "./model.js";

const SECOND = 1000, MINUTE = 60 * SECOND, HOUR = 60 * MINUTE, DAY = 24 * HOUR;
const STEPS_MS = [
  10, 20, 50, 100, 200, 500, SECOND, 2 * SECOND, 5 * SECOND, 10 * SECOND, 15 * SECOND, 30 * SECOND,
  MINUTE, 2 * MINUTE, 5 * MINUTE, 10 * MINUTE, 15 * MINUTE, 30 * MINUTE, HOUR, 2 * HOUR, 3 * HOUR, 6 * HOUR,
  12 * HOUR, DAY, 2 * DAY, 7 * DAY, 14 * DAY, 30 * DAY, 90 * DAY, 365 * DAY, 3650 * DAY,
];

/** Every stage that the job has entered, oldest first, as far as it is known: [{stage, atMs, by, via}]. */
export function timelineOf(job, nowMs) {
  const known = Array.isArray(job.history) ? job.history.filter((entry) => typeof entry?.stage === "string") : [];
  const entries = known.map(({ stage, at, by, via }) => ({ stage, atMs: knownMs(at), by: textOf(by), via: textOf(via) }));
  const moved = () => ({
    stage: job.stage, atMs: isActive(job) ? enteredMs(job) : endedMs(job, nowMs), by: "", via: "",
  });
  if (entries.length) return movedByOthers(job) ? [...entries, moved()] : entries;
  const start = { stage: "pending", atMs: knownMs(job.createdAt), by: "", via: "" };
  return job.stage === "pending" && !job.retryCount ? [start] : [start, moved()];
}

/**
 * The attempts, oldest first: [{number, beganMs, endedMs, outcome, spans: [{stage, fromMs, toMs, by, via}]}].
 *
 * The last span of an attempt that goes on ends at `nowMs`. `outcome` is "completed", "failed",
 * "cancelled" or "lost"; "" for an attempt that goes on, or whose end is not recorded.
 */
export function attemptsOf(job, nowMs) {
  const groups = [];
  timelineOf(job, nowMs).forEach((entry, index) => {
    if (index === 0 || entry.stage === "pending") groups.push([]);
    groups.at(-1).push(entry);
  });
  const last = Number.isInteger(job.retryCount) && job.retryCount > 0 ? job.retryCount + 1 : 1;
  return groups.map((entries, index) => {
    const isLast = index === groups.length - 1;
    const number = Math.max(1, last - (groups.length - 1 - index));
    return attempt(job, entries, number, isLast, isLast ? null : groups[index + 1][0].atMs, nowMs);
  });
}

function attempt(job, entries, number, isLast, nextMs, nowMs) {
  const end = entries.find(({ stage }) => ENDED.has(stage)) ?? null;
  let endMs = end ? end.atMs : nextMs ?? NaN, outcome = end ? end.stage : "";
  if (isLast && isActive(job)) {
    endMs = nowMs;
    outcome = job.derived?.lost ? "lost" : "";
  } else if (isLast) {
    outcome = isCancelled(job) ? "cancelled" : job.stage;
    endMs = Number.isFinite(endMs) ? endMs : endedMs(job, nowMs);
  }
  const spans = [];
  entries.forEach(({ stage, atMs, by, via }, index) => {
    if (ENDED.has(stage)) return;
    const next = entries[index + 1]?.atMs ?? endMs;
    const known = Number.isFinite(atMs) && Number.isFinite(next);
    spans.push({ stage, fromMs: atMs, toMs: known ? Math.max(atMs, next) : NaN, by, via });
  });
  return { number, beganMs: entries[0].atMs, endedMs: endMs, outcome, spans };
}

/** How long the longest attempt took: all are drawn on this scale. At least 1 ms. */
export function scaleOf(attempts) {
  const each = attempts.map(({ beganMs, endedMs }) => endedMs - beganMs).filter((ms) => ms > 0);
  return Math.max(1, ...each);
}

/** Where a span lies, as fractions of the scale: {start, size}; null if its times are not known. */
export function placeOf({ fromMs, toMs }, { beganMs }, scaleMs) {
  const start = (fromMs - beganMs) / scaleMs, size = (toMs - fromMs) / scaleMs;
  return start >= 0 && size >= 0 ? { start: Math.min(1, start), size: Math.min(1, size) } : null;
}

/** The marks of the axis: at most `most` times after 0, evenly spaced, in round numbers. */
export function ticksOf(scaleMs, most = 5) {
  const step = STEPS_MS.find((ms) => scaleMs / ms <= most) ?? STEPS_MS.at(-1) * Math.ceil(scaleMs / STEPS_MS.at(-1) / most);
  const ticks = [];
  for (let at = step; at <= scaleMs; at += step) ticks.push(at);
  return ticks;
}

function textOf(value) {
  return typeof value === "string" ? value : "";
}
