// The dashboard: one connection, the page that the address names, and the time.
//
// A page is made by `listPage(context)` or `jobPage(context, id)` and has {element, update(change),
// tick(nowMs), key(event), close()}. It is updated once per frame at most.

import { connect, storeEpoch } from "../client.js";
import { hasSameFilter, hrefOf, hubFilter, viewOf } from "./address.js";
import { keepAwake } from "./awake.js";
import { listPage } from "./list.js";
import { TABLE_FIELDS } from "./model.js";
import { notices } from "./notices.js";
import { UsualDurations } from "./usual.js";

const TICK_MS = 1000;

const settings = JSON.parse(document.getElementById("settings").textContent);
if (location.hash.startsWith("#token=")) { // a link from `jobctl serve`: it has done its work
  history.replaceState(history.state, "", location.pathname + location.search);
}

const NO_STAGES = Object.freeze([]);
const NO_PIPELINE = Object.freeze({ label: null, stalledMs: null, expectMs: null, usualMs: null, stages: NO_STAGES });

const context = {
  settings,
  jobs: null,
  view: viewOf(location, settings.base),
  /** What the hub's settings say about a type. */
  pipelineOf: (type) => (Object.hasOwn(settings.pipelines, type) ? settings.pipelines[type] : NO_PIPELINE),
  /** How long jobs of each kind take, from all that this page has seen. */
  usual: null,
  /** The present time by the hub's clock. */
  now: () => context.jobs.now(),
  navigate,
};

context.usual = new UsualDurations(context.pipelineOf);

const NO_PAGE = { update() {}, tick() {}, key: () => false, close() {} };
let page = null, waiting = null, frame = 0, unsubscribe = null;
let jobModule = null;
let store = null; // the store of the connection's jobs: revisions of another cannot be compared
let isEmpty = true; // the connection has brought no jobs yet
const main = document.querySelector("main");

/** Go to a view, or to an address on this hub. `replace` leaves no entry in the history. */
function navigate(to, { replace = false } = {}) {
  const href = typeof to === "string" ? to : hrefOf(to, settings.base);
  if (href !== location.pathname + location.search) {
    history[replace ? "replaceState" : "pushState"]({ scroll: 0 }, "", href);
  }
  route();
}

function route() {
  const before = context.view;
  context.view = viewOf(location, settings.base);
  if (!hasSameFilter(before, context.view)) open();
  document.documentElement.dataset.kiosk = context.view.kiosk ? "yes" : "no";
  keepAwake(context.view.kiosk);
  if (page && before.job === context.view.job) page.show?.(context.view);
  else turnTo();
}

/** Show the page that the view names. */
function turnTo() {
  page?.close();
  const { job } = context.view;
  if (job !== null && jobModule === null) {
    page = NO_PAGE;
    main.replaceChildren();
    loadJobPage();
    return;
  }
  page = job === null ? listPage(context) : jobModule.jobPage(context, job);
  page.element.dataset.page = job === null ? "list" : "job";
  main.replaceChildren(page.element);
  page.shown?.();
}

/** The table does not wait for the modules of the other page. They are loaded right after it. */
async function loadJobPage() {
  try {
    jobModule ??= await import("./job.js");
  } catch {
    return; // the hub is away; it is tried again when it is back
  }
  if (page === NO_PAGE) turnTo();
}

/** Connect with the view's filter. */
function open() {
  unsubscribe?.();
  context.jobs?.close();
  waiting = null;
  isEmpty = true;
  const jobs = connect({
    url: settings.socket, filter: hubFilter(context.view), fields: TABLE_FIELDS, rest: false,
  });
  context.jobs = jobs;
  window.jobctl = { jobs };
  unsubscribe = jobs.subscribe(take);
  page?.reset?.();
}

// -- changes ------------------------------------------------------------------------------------

/** Changes since the last frame, as one: the newest version of each job. */
class Waiting {
  constructor() {
    this.jobs = new Map();
    this.added = new Set();
    this.gone = new Set();
    this.why = {};
    this.reset = false;
    this.status = null;
  }

  add({ jobs, added, gone, why, reset, status }) {
    for (const id of gone) {
      this.jobs.delete(id);
      this.gone.add(id);
    }
    if (why) Object.assign(this.why, why);
    for (const job of jobs) {
      this.jobs.set(job.id, job);
      this.gone.delete(job.id);
    }
    for (const id of added) this.added.add(id);
    this.reset ||= reset;
    this.status = status ?? this.status;
  }

  get change() {
    const { jobs, added, gone, why, reset, status } = this;
    return {
      jobs: [...jobs.values()], added: [...added].filter((id) => jobs.has(id)), gone: [...gone], why, reset, status,
    };
  }
}

/** Keep a change for the next frame. A hidden tab gets no frames, so it is told at once. */
function take(change) {
  if (change.status?.synced && jobModule === null) loadJobPage();
  if (change.status?.needsToken) return signIn();
  (waiting ??= new Waiting()).add(change);
  const isFirst = isEmpty && change.jobs.length > 0; // somebody waits for it
  if (isFirst) isEmpty = false;
  if (document.hidden || isFirst) flush();
  else frame ||= requestAnimationFrame(flush);
}

/** Ask for the token, and come back to this view. */
function signIn() {
  const view = location.pathname.slice(settings.base.length) + location.search;
  location.assign(`${settings.base}/login?${new URLSearchParams({ next: view })}`);
}

function flush() {
  cancelAnimationFrame(frame);
  frame = 0;
  if (waiting === null) return;
  const { change } = waiting;
  waiting = null;
  const { cursor } = context.jobs.status, before = store;
  if (cursor) store = storeEpoch(cursor);
  if (before !== null && before !== store) context.usual.clear();
  context.usual.take(change.jobs);
  page.update(change);
  told.update(change);
}

function tick() {
  if (document.hidden) return;
  const now = context.now();
  page.tick(now);
  told.tick(now);
}

document.addEventListener("visibilitychange", () => {
  if (document.hidden) flush(); // no frame comes any more
  else tick();
});
addEventListener("popstate", route);
addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.isComposing) return;
  if (page.key(event)) event.preventDefault();
});
// Links to views of this hub need no new page.
addEventListener("click", (event) => {
  if (event.defaultPrevented || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
  const link = event.target.closest?.("a[href]");
  if (!link || link.target || link.hasAttribute("download")) return;
  const { origin, pathname, search, hash } = new URL(link.href, location);
  const path = pathname.startsWith(settings.base) ? pathname.slice(settings.base.length) : null;
  if (origin !== location.origin || hash || !(path === "/" || path?.startsWith("/jobs/"))) return;
  event.preventDefault();
  navigate(pathname + search);
});

const hub = location.host + settings.base;
document.getElementById("place").textContent = settings.place ? `${settings.place} · ${hub}` : hub;
document.getElementById("read-only").hidden = !settings.readOnly;
open();
const told = notices(context);
route();
setInterval(tick, TICK_MS);
