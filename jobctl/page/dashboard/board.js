// All jobs of a view: what each is counted as, which match, and their order. A change costs what it
// touches; only another view, or another clock, looks at all jobs. Pure.

import { LastHour } from "./hour.js";
import {
  describe, errorOf, isActive, nameOf, percentOf, stagesOf, standing, timesOf, workerOf,
} from "./model.js";
import { compareText, Order } from "./order.js";

const FOLD_ABOVE = 20, FOLD_TO = 10; // failures at the top: above so many, only the newest are rows
const CLOCK_MS = 1500; // the clock was set if it moved by so much more or less than time passed

export class Board {
  constructor({ pipelineOf, view, isPinned = () => false }) {
    this._pipelineOf = pipelineOf;
    this._isPinned = isPinned;
    this._jobs = new Map();
    this._standings = new Map();
    this._due = new Map(); // second → ids whose standing ends then
    this._second = -Infinity; // up to which that has been looked at
    this._now = NaN;
    this._ahead = NaN;
    this.counts = emptyCounts();
    this.types = new Map(); // type → number of jobs
    this.said = { session: 0, who: 0 }; // in how many jobs these columns say something
    this.hour = new LastHour();
    this._setView(view);
    this.order = new Order(this._compare);
  }

  get total() {
    return this._jobs.size;
  }

  /** The rows, in order; the same array until something moves. */
  ids() {
    return this.order.ids();
  }

  /**
   * The rows of the table: those of ids(), but of many failures only the newest, or nothing else would
   * be on the screen. `folded` of them are left out; all are in the view that shows failed jobs.
   */
  rows() {
    const ids = this.ids();
    if (ids !== this._foldedOf) {
      this._foldedOf = ids;
      this._rows = this._fold(ids);
    }
    return this._rows;
  }

  get folded() {
    return this.ids().length - this.rows().length;
  }

  _fold(ids) {
    if (!this._isFolding) return ids;
    let end = 0;
    while (end < ids.length && this._isTrouble(ids[end])) end += 1;
    const isOld = new Set(ids.slice(0, end).filter((id) => this._isFoldable(id)).slice(FOLD_TO));
    if (isOld.size <= FOLD_ABOVE - FOLD_TO) return ids;
    return ids.filter((id) => !isOld.has(id));
  }

  _isTrouble(id) {
    return this.order.depth(id) > 0 || this._isPinned(id) || this.order.isFamily(id) || this._standings.get(id).rank === 0;
  }

  /** A failed job without parts: what belongs to it may run. */
  _isFoldable(id) {
    return this._standings.get(id).kind === "failed" && !this._isPinned(id) && !this.order.isFamily(id) && this.order.depth(id) === 0;
  }

  /** The ids of all jobs that match, also of those that stand in the row of another. */
  matching() {
    return this.order.members();
  }

  job(id) {
    return this._jobs.get(id);
  }

  kind(id) {
    return this._standings.get(id)?.kind;
  }

  /** Take what has changed. */
  update({ jobs, gone }, nowMs, passedMs) {
    this._setTime(nowMs, passedMs);
    for (const id of gone) this._remove(id);
    for (const job of jobs) this._put(job);
  }

  /** Take the time: what has become stalled, or is no trouble any more. Whether there is any. */
  tick(nowMs, passedMs) {
    if (this._setTime(nowMs, passedMs)) return true;
    const last = Math.floor(nowMs / 1000);
    let found = false;
    for (; this._second < last; this._second++) {
      const ids = this._due.get(this._second + 1);
      if (ids === undefined) continue;
      found = true;
      for (const id of [...ids]) this._put(this._jobs.get(id));
      this._due.delete(this._second + 1);
    }
    return found;
  }

  /** Show another view of the same jobs, or the same with other pins. */
  setView(view) {
    this._setView(view);
    this._orderAll();
  }

  /** Hold these jobs and no others. */
  replace(jobs, nowMs, passedMs) {
    for (const id of [...this._jobs.keys()]) this._remove(id);
    this._setTime(nowMs, passedMs);
    for (const job of jobs) this._keep(job);
    this._orderAll();
  }

  // -- inner

  /** `passedMs` is of a clock that nobody sets. Returns whether all was looked at. */
  _setTime(nowMs, passedMs = nowMs) {
    const ahead = nowMs - passedMs, isOther = Math.abs(ahead - this._ahead) > CLOCK_MS;
    this._now = nowMs;
    if (Number.isNaN(this._ahead)) this._second = Math.floor(nowMs / 1000);
    if (isOther || Number.isNaN(this._ahead)) this._ahead = ahead;
    if (!isOther) return false;
    this._second = Math.floor(nowMs / 1000);
    for (const job of this._jobs.values()) this._keep(job);
    this._orderAll();
    return true;
  }

  _setView({ q, show, sort }) {
    this._words = q.toLowerCase().split(/\s+/).filter(Boolean);
    this._show = show;
    this._isFolding = q === "" && show === null && sort === null;
    this._foldedOf = null;
    const column = (sort ?? "").replace(/^-/, "");
    this._value = Object.hasOwn(VALUES, column) ? VALUES[column] : null;
    this._compare = this._value === null ? byTrouble : sort.startsWith("-") ? downwards : upwards;
  }

  _orderAll() {
    const entries = [];
    for (const job of this._jobs.values()) if (this._matches(job)) entries.push([job, this._key(job)]);
    this.order.replace(entries, this._compare);
  }

  _put(job) {
    this._keep(job);
    if (this._matches(job)) this.order.put(job, this._key(job));
    else this.order.remove(job.id);
  }

  _keep(job) {
    const { id } = job, before = this._jobs.get(id), old = this._standings.get(id);
    const now = standing(job, this._now, this._pipelineOf);
    if (old !== undefined) {
      this.counts[old.kind] -= 1;
      this._notDue(id, old);
    }
    if (before?.type !== job.type) {
      if (before) this._countType(before.type, -1);
      this._countType(job.type, 1);
    }
    if (before) this._countSaid(before, -1);
    this._countSaid(job, 1);
    this._jobs.set(id, job);
    this._standings.set(id, now);
    this.counts[now.kind] += 1;
    if (now.until !== Infinity) this._setDue(id, now);
    if (!isActive(job)) {
      const { ended, took } = timesOf(job, this._now);
      this.hour.put(id, now.kind, ended, took, this._now);
    } else if (before !== undefined && !isActive(before)) {
      this.hour.remove(id);
    }
  }

  _remove(id) {
    const old = this._standings.get(id);
    if (old === undefined) return;
    this.counts[old.kind] -= 1;
    this._notDue(id, old);
    this._countType(this._jobs.get(id).type, -1);
    this._countSaid(this._jobs.get(id), -1);
    this._jobs.delete(id);
    this._standings.delete(id);
    this.hour.remove(id);
    this.order.remove(id);
  }

  _countType(type, by) {
    const count = (this.types.get(type) ?? 0) + by;
    if (count) this.types.set(type, count);
    else this.types.delete(type);
  }

  _countSaid(job, by) {
    if (typeof job.sessionId === "string" && job.sessionId !== "") this.said.session += by;
    if (workerOf(job) !== "") this.said.who += by;
  }

  _setDue(id, { until }) {
    const second = Math.max(Math.ceil(until / 1000), this._second + 1);
    if (!this._due.has(second)) this._due.set(second, new Set());
    this._due.get(second).add(id);
    this._standings.get(id).second = second;
  }

  _notDue(id, { second }) {
    const ids = this._due.get(second);
    ids?.delete(id);
    if (ids?.size === 0) this._due.delete(second);
  }

  _matches(job) {
    if (this._show !== null && this._standings.get(job.id).kind !== this._show) return false;
    if (!this._words.length) return true;
    const text = searchText(job, this._pipelineOf);
    return this._words.every((word) => text.includes(word));
  }

  _key(job) {
    const { rank, time } = this._standings.get(job.id);
    const pinned = this._isPinned(job.id);
    if (this._value === null) return { rank: pinned ? -1 : rank, time, id: job.id };
    const value = this._value(job, this._now, this._pipelineOf, this._standings.get(job.id));
    const isKnown = value !== null && value !== "" && !Number.isNaN(value);
    return { rank: pinned ? -1 : isKnown ? 0 : 1, time: isKnown ? value : 0, id: job.id };
  }
}

function emptyCounts() {
  return { running: 0, pending: 0, stalled: 0, lost: 0, failed: 0, cancelled: 0, completed: 0 };
}

/** What a search looks at: id, title, type, session, message and error, in lower case. */
export function searchText(job, pipelineOf) {
  const { id, type, sessionId, message } = job;
  const parts = [id, nameOf(job, pipelineOf), type, sessionId ?? "", message ?? "", errorOf(job)];
  return parts.join("\n").toLowerCase();
}

function byTrouble(one, other) {
  return one.rank - other.rank || one.time - other.time || compareText(one.id, other.id);
}

function upwards(one, other) {
  return one.rank - other.rank || compareText(one.time, other.time) || compareText(one.id, other.id);
}

function downwards(one, other) {
  return one.rank - other.rank || compareText(other.time, one.time) || compareText(one.id, other.id);
}

const lower = (text) => String(text ?? "").toLowerCase();

/** What each column is sorted by: a text, or a number. */
const VALUES = {
  job: (job, now, pipelineOf) => lower(nameOf(job, pipelineOf)),
  type: (job) => lower(job.type),
  session: (job) => lower(job.sessionId),
  stage: (job, now, pipelineOf, { kind }) => lower(describe(job, job, kind, pipelineOf).stage),
  done: (job, now, pipelineOf) => (job.stage === "failed" ? null : percentOf(job, stagesOf(job, pipelineOf))),
  detail: (job) => lower(errorOf(job) || job.message),
  who: (job) => lower(workerOf(job)),
  started: (job) => timesOf(job, 0).began,
  ended: (job, now) => timesOf(job, now).ended,
  // The time of active jobs grows: they stand after those that have ended, the oldest last.
  took: (job, now) => {
    const { began, took } = timesOf(job, now);
    return isActive(job) ? Number.MAX_SAFE_INTEGER - began : took;
  },
};

