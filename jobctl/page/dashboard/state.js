// How live the page is: "live · last change 3s ago"; greyed with its age when it is not.

import { knownMs } from "../client.js";
import { make, setAttribute, Text } from "./dom.js";
import { ago, wholeSeconds } from "./model.js";

export class State {
  constructor(context) {
    this._context = context;
    const element = document.getElementById("state");
    const words = make("span"), told = make("span", { class: "for-readers", role: "status" });
    element.replaceChildren(words, told);
    this._element = element;
    this._text = new Text(words);
    this._told = new Text(told); // only what is worth to be read out: not the time
    this._changedAt = NaN; // by the hub's clock
    this._leftAt = null; // since when the hub is away, through all tries; 0 while it is there
  }

  update({ jobs, gone }, nowMs) {
    if (this._context.jobs.status.synced && this._wasSynced && (jobs.length || gone.length)) this._changedAt = nowMs;
    else for (const job of jobs) this._changedAt = Math.max(this._changedAt || 0, Math.min(nowMs, knownMs(job.updatedAt) || 0)) || NaN;
    this._wasSynced = this._context.jobs.status.synced;
    this.tick(nowMs);
  }

  tick(nowMs) {
    const { state, detail, retryAt } = this._context.jobs.status;
    setAttribute(this._element, "data-state", state);
    const isLive = state === "open";
    if (isLive) this._leftAt = 0;
    else if (this._leftAt === 0) this._leftAt = performance.now();
    setAttribute(document.body, "data-live", isLive ? "yes" : "no");
    this._told.set(isLive ? "live" : state === "error" ? detail : this._leftAt === null ? "" : "the hub is away");
    const changed = ago(this._changedAt, nowMs);
    if (isLive) this._text.set(changed ? `live · last change ${changed}` : "live");
    else this._text.set(this._away(state, detail, retryAt, changed));
    setAttribute(this._element, "title", isLive ? "" : detail);
  }

  _away(state, detail, retryAt, changed) {
    const known = changed ? ` · last change ${changed}` : "";
    if (state === "error") return (detail || "refused") + known;
    if (this._leftAt === null && state === "connecting") return state;
    const again = retryAt === null ? "trying again" : `trying again in ${wholeSeconds(Math.max(0, retryAt - Date.now()))}`;
    if (this._leftAt === null) return `no connection yet, ${again}`;
    return `the hub is away for ${wholeSeconds(performance.now() - this._leftAt)}, ${again}${known}`;
  }
}
