// What tells somebody who looks elsewhere: toasts, notifications of the browser, the tab's title and icon.

import { isCancelled } from "../client.js";
import { Endings } from "./endings.js";
import { isActive, nameOf } from "./model.js";
import { iconOf, titleOf } from "./tab.js";
import { Tells } from "./tells.js";
import { Toasts } from "./toasts.js";

const TAB_MS = 1000; // between two changes of the title
const BATCH_MS = 250; // what ends within it is told of together
const LEFT_MS = 1000; // in which jobs that left the view are asked about together
const ASK_MS = 15000; // between two questions for jobs that the view leaves out
const MAX_ASKED = 50; // jobs at once; if more leave the view within LEFT_MS, the rest is not told of

export function notices(context) {
  return new Notices(context);
}

class Notices {
  constructor(context) {
    this._context = context;
    this._jobs = context.jobs;
    this._endings = new Endings();
    this._toasts = new Toasts(context);
    this._tells = new Tells(context.settings.base);
    this._ended = [];
    this._left = new Set(); // active jobs that left the view
    this._icon = document.querySelector("link[rel=icon]");
    this._paintTab();
    context.tell = (id) => this.tell(id);
    context.isTold = (id) => this._tells.has(id);
    setInterval(() => this._askForTold(), ASK_MS);
  }

  /** Take what has changed. Cheap, since a hidden tab is told of every change. */
  update(change) {
    const { jobs } = this._context;
    if (jobs !== this._jobs) { // another filter: what it brings at first is no news
      this._jobs = jobs;
      this._endings = new Endings();
    }
    const { synced } = jobs.status;
    const { ended, left } = this._endings.take(change, synced, () => jobs.now());
    for (const job of ended) this._ended.push(job);
    if (this._ended.length) this._batch ||= setTimeout(() => this._tellEnded(), BATCH_MS);
    for (const id of left.slice(0, MAX_ASKED - this._left.size)) this._left.add(id);
    if (this._left.size) this._asking ||= setTimeout(() => this._askForLeft(), LEFT_MS);
    if (this._tells.size) {
      for (const job of change.jobs) if (!isActive(job) && this._tells.has(job.id)) this._fulfil(job);
      for (const id of change.gone) if (this._tells.has(id) && !isFiltered(change.why, id)) this._gone(id);
      if (synced && !this._hasAsked) this._askForTold();
    }
    this._tabSoon();
  }

  tick() {
    this._toasts.tick();
    this._tabSoon(); // also when nothing changes but the connection
  }

  /** Tell when the job ends, or no longer. Call it on a click: the browser asks for permission. */
  async tell(id) {
    if (this._tells.has(id)) {
      this._tells.remove(id);
      return;
    }
    this._tells.add(id);
    const refusal = await permissionRefusal();
    if (refusal) this._toasts.say(refusal);
  }

  // -- what has ended

  _tellEnded() {
    this._batch = 0;
    const ended = this._ended;
    this._ended = [];
    const { pipelineOf } = this._context;
    this._toasts.ended(ended.map((job) => ({ job, name: nameOf(job, pipelineOf) })));
  }

  async _askForLeft() {
    const ids = [...this._left];
    this._left.clear();
    this._asking = 0;
    this._tellFound(await this._ask(ids));
  }

  /** Jobs that left the view as they ended: the hub says how. */
  _tellFound(found) {
    for (const job of found) if (job.stage === "failed") this._ended.push(job);
    if (this._ended.length) this._batch ||= setTimeout(() => this._tellEnded(), BATCH_MS);
    for (const job of found) if (!isActive(job) && this._tells.has(job.id)) this._fulfil(job);
  }

  _fulfil(job) {
    if (!this._tells.take(job.id)) return; // another tab has told it
    this._notify(job.id, nameOf(job, this._context.pipelineOf), howEnded(job));
  }

  _gone(id) {
    if (this._tells.take(id)) this._notify(id, `Job ${id}`, "was removed");
  }

  _notify(id, name, how) {
    const href = `${this._context.settings.base}/jobs/${encodeURIComponent(id)}`;
    this._toasts.told({ id, name, how });
    try {
      if (Notification.permission !== "granted") return;
      const shown = new Notification(`${name} ${how}`, { body: id, tag: `jobctl-${id}` });
      shown.onclick = () => {
        window.focus();
        this._context.navigate(href);
        shown.close();
      };
    } catch {
      // no such thing, or only from a service worker: the toast tells it
    }
  }

  /** Look for told jobs that ended while this page was not open, or that the view leaves out. */
  async _askForTold() {
    const { jobs } = this._context;
    if (!this._tells.size || jobs.status.state !== "open" || !jobs.status.synced) return;
    this._hasAsked = true;
    const ids = [], held = [];
    for (const id of this._tells.ids()) {
      const job = jobs.get(id);
      if (!job) ids.push(id);
      else if (!isActive(job)) held.push(job);
    }
    for (const job of held) this._fulfil(job);
    if (!ids.length) return;
    const found = await this._ask(ids);
    if (found.failed) return;
    this._tellFound(found);
    const there = new Set(found.map(({ id }) => id));
    for (const id of ids.slice(0, MAX_ASKED)) if (!there.has(id)) this._gone(id);
  }

  async _ask(ids) {
    const query = new URLSearchParams(ids.slice(0, MAX_ASKED).map((id) => ["id", id]));
    try {
      const answer = await fetch(`${this._context.settings.base}/api/jobs?${query}`);
      if (answer.ok) return (await answer.json()).jobs;
    } catch {
      // the hub is away; it is asked again later
    }
    return Object.assign([], { failed: true });
  }

  // -- the tab

  _tabSoon() {
    if (this._tabTimer) return;
    const waitMs = TAB_MS - (performance.now() - (this._tabAt ?? -Infinity));
    if (waitMs <= 0) this._paintTab();
    else {
      this._tabTimer = setTimeout(() => {
        this._tabTimer = 0;
        this._paintTab();
      }, waitMs);
    }
  }

  _paintTab() {
    this._tabAt = performance.now();
    const { counts, status } = this._context.jobs;
    const title = titleOf(counts, this._context.title);
    if (document.title !== title) document.title = title;
    const icon = iconOf({ active: counts.active, failed: counts.failed, live: status.state === "open" });
    if (icon === this._shownIcon) return;
    this._shownIcon = icon;
    this._icon.href = icon;
  }
}

/** Why no notification can come; null if it can. */
async function permissionRefusal() {
  const instead = "a notice on this page tells you instead.";
  if (!("Notification" in globalThis)) return `This browser has no notifications; ${instead}`;
  if (!globalThis.isSecureContext) return `Notifications need https or localhost; ${instead}`;
  try {
    const permission = Notification.permission === "default" ? await Notification.requestPermission() : Notification.permission;
    return permission === "granted" ? null : `Notifications are not allowed; ${instead}`;
  } catch {
    return `Notifications are not allowed; ${instead}`;
  }
}

function isFiltered(why, id) {
  return Boolean(why && Object.hasOwn(why, id) && why[id] === "filtered");
}

function howEnded(job) {
  if (job.stage === "completed") return "completed";
  return isCancelled(job) ? "was cancelled" : "failed";
}
