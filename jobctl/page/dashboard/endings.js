// Which jobs failed or were cancelled while the page was open. Pure.

import { endedMs } from "../client.js";
import { isActive } from "./model.js";

/** Knows which jobs were active, and which had ended: what ends is news once. */
export class Endings {
  constructor() {
    this._active = new Set();
    this._failed = new Map(); // id → attempt
    this._openedMs = NaN; // by the hub's clock, once the first snapshot is there
  }

  /**
   * Take a change; returns {ended, left}: jobs that failed or were cancelled since, and the ids of
   * active jobs that left the view, perhaps because they ended. Nothing of a first snapshot is news.
   * After a cut everything comes again: what was known to have failed is no news either.
   */
  take({ jobs, gone, why }, synced, now) {
    const ended = [], left = [], hasOpened = !Number.isNaN(this._openedMs);
    for (const id of gone) {
      if (this._active.delete(id) && hasOpened && why && Object.hasOwn(why, id) && why[id] === "filtered") left.push(id);
      this._failed.delete(id);
    }
    for (const job of jobs) {
      const { id } = job, attempt = job.retryCount ?? 0;
      if (isActive(job)) {
        this._active.add(id);
        this._failed.delete(id);
        continue;
      }
      const wasActive = this._active.delete(id);
      if (job.stage !== "failed") {
        this._failed.delete(id);
        continue;
      }
      const isKnown = this._failed.get(id) === attempt;
      this._failed.set(id, attempt);
      // One that was never seen at work is news if it ended since the page was opened.
      if (!isKnown && hasOpened && (wasActive || endedMs(job, now()) >= this._openedMs)) ended.push(job);
    }
    if (synced && !hasOpened) this._openedMs = now();
    return { ended, left };
  }
}
