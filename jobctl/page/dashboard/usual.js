// How long jobs of a kind usually take: learned from completed ones, or configured. Pure. The rule is
// that of core/eta.py, and the words are those of `jobctl ls` and `jobctl show`.

import { beganMs, endedMs, programOf } from "../client.js";
import { duration, isActive } from "./model.js";

/** Completed jobs of a kind that are needed before they replace the configured band. */
export const MIN_LEARNED = 5;
/** Only the newest completed jobs count, because programs change. */
export const MAX_LEARNED = 100;

export class UsualDurations {
  constructor(pipelineOf) {
    this._pipelineOf = pipelineOf;
    this._kinds = new Map(); // kind → Learned
  }

  /** Forget everything: the jobs are of another store, so their revisions cannot be compared. */
  clear() {
    this._kinds.clear();
  }

  /** Learn from completed jobs that were never retried. Each costs at most one entry of few. */
  take(jobs) {
    const ordered = jobs.filter(({ stage, retryCount }) => stage === "completed" && !retryCount);
    ordered.sort((one, other) => (one.revision ?? 0) - (other.revision ?? 0));
    for (const job of ordered) {
      const kind = kindOf(job);
      if (kind === null) continue;
      let learned = this._kinds.get(kind);
      if (learned?.isOlder(job)) continue;
      const took = endedMs(job, Infinity) - beganMs(job);
      if (Number.isNaN(took)) continue;
      if (!learned) this._kinds.set(kind, (learned = new Learned()));
      learned.add(job, Math.max(0, took));
    }
  }

  /** [median, 90th percentile] in milliseconds, or the configured band; null if it is not known, or the job has ended. */
  band(job) {
    if (!isActive(job)) return null;
    const kind = kindOf(job), learned = kind === null ? undefined : this._kinds.get(kind);
    return learned?.band() ?? this._pipelineOf(job.type).usualMs ?? null;
  }

  /** The band as in `jobctl show`: `30s-2m`; empty if it is not known. */
  text(job) {
    const band = this.band(job);
    return band === null ? "" : bandText(band);
  }
}

/** The newest completed jobs of one kind, by their revisions. */
class Learned {
  constructor() {
    this._entries = []; // {key, revision, took}, oldest first
    this._keys = new Set();
    this._band = null;
  }

  /** Whether there are enough newer jobs. */
  isOlder({ revision }) {
    return this._entries.length >= MAX_LEARNED && (revision ?? 0) < this._entries[0].revision;
  }

  /** A job that is added again counts once. */
  add({ id, revision }, took) {
    const key = `${took} ${id}`, entries = this._entries;
    if (this._keys.has(key)) return;
    const entry = { key, revision: revision ?? 0, took };
    let place = entries.length;
    while (place && entries[place - 1].revision > entry.revision) place -= 1;
    entries.splice(place, 0, entry);
    this._keys.add(key);
    if (entries.length > MAX_LEARNED) this._keys.delete(entries.shift().key);
    this._band = null;
  }

  /** Sorted only when it is asked for after a change. */
  band() {
    if (this._entries.length < MIN_LEARNED) return null;
    if (this._band === null) {
      const times = this._entries.map(({ took }) => took).sort((one, other) => one - other);
      const last = times.length - 1, middle = last >> 1;
      const median = last % 2 ? rounded(times[middle] + times[middle + 1], 2) : times[middle];
      const place = Math.floor((9 * last) / 10), part = (9 * last) % 10;
      const p90 = rounded(times[place] * (10 - part) + times[place + 1] * part, 10);
      this._band = Object.freeze([median, p90]);
    }
    return this._band;
  }
}

/** The quotient of two whole numbers, rounded as Python does: a half to the even neighbour. */
function rounded(number, by) {
  const down = Math.floor(number / by), twice = 2 * (number - down * by);
  return twice > by || (twice === by && down % 2) ? down + 1 : down;
}

/** What the job is compared with; null for a command that may not be seen. */
function kindOf(job) {
  const program = programOf(job);
  return program === null ? null : JSON.stringify([job.type, ...program]);
}

/** `30s-2m`, or one value if both are equal. */
export function bandText(band) {
  const [low, high] = band.map((ms) => duration(ms).replace("m00s", "m"));
  return low === high ? low : `${low}-${high}`;
}
