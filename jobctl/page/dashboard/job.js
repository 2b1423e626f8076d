// A job's page: everything that the hub sends of one job, live, by a connection of its own.

import { connect, isAcknowledged, knownMs } from "../client.js";
import { ACTS, actsFor, askAndAct } from "./acts.js";
import { hrefOf, withFilter } from "./address.js";
import { Board } from "./board.js";
import { copyButton } from "./copy.js";
import { make, setAttribute, Text } from "./dom.js";
import {
  argvOf, commandsOf, endText, hubUrl, isId, isLocal, isRun, prettyJson, rawRecord, sessionHref, sizeText, stderrOf,
} from "./facts.js";
import { Facts } from "./fact_list.js";
import { Log } from "./log.js";
import {
  ago, describe, duration, exactTime, isActive, nameOf, standing, timesOf, wholeSeconds,
} from "./model.js";
import { Pins } from "./pins.js";
import { State } from "./state.js";
import { TimelineView } from "./timeline_view.js";

const MAX_STRIP = 24; // stages with their names under the bar
const MAX_TITLE = 300, MAX_TEXT = 10000; // characters; the record has all

export function jobPage(context, id) {
  return new JobPage(context, id);
}

class JobPage {
  constructor(context, id) {
    this._context = context;
    this._id = id;
    const { jobs } = context;
    this._board = null; // the order of the table, made after the first frame
    this._place = -1; // among the rows of the table
    this._state = new State(context);
    this._job = null;
    this._parts = null; // the jobs that were made within this one
    this._gone = null; // {why, atMs} once the job is gone
    this._said = null; // why there is no such job, by the hub
    this._make();
    this._state.update({ jobs: jobs.all(), gone: [] }, context.now());
    if (isId(id)) this._open();
    else this._explain(`“${id.length > 80 ? `${id.slice(0, 80)}…` : id}” is no id that a job can have.`, true);
    this._later = setTimeout(() => this._look());
  }

  _open() {
    const { settings, jobs } = this._context;
    const known = jobs.get(this._id); // the table's record, until the whole one is there
    if (known) this._known = known;
    this._jobs = connect({ url: settings.socket, filter: { id: this._id }, rest: false });
    this._jobs.subscribe((change) => this._take(change));
    window.jobctl.job = this._jobs;
    if (known) this._draw();
    else this._explain("Loading…");
  }

  _make() {
    const { settings, view } = this._context;
    const back = make("a", { class: "back", href: hrefOf({ ...view, job: null }, settings.base), "aria-keyshortcuts": "Escape" }, "← All jobs");
    this._previous = make("a", { class: "button", rel: "prev", "aria-keyshortcuts": "k", title: "Previous job (k)" }, "↑ Previous");
    this._next = make("a", { class: "button", rel: "next", "aria-keyshortcuts": "j", title: "Next job (j)" }, "↓ Next");
    const nav = make("nav", { class: "job-nav", "aria-label": "Jobs" }, back, this._previous, this._next);
    this._notice = make("p", { class: "job-notice", role: "status", hidden: true });
    this._noticeText = new Text(this._notice.appendChild(make("span")));
    this._noticeLink = make("a", { class: "notice-link", href: back.getAttribute("href"), hidden: true }, "All jobs");
    this._notice.append(this._noticeLink);

    this._title = make("h2", { tabindex: "-1" });
    this._copyId = copyButton(() => this._id, "Copy id");
    this._copyId.setAttribute("aria-keyshortcuts", "c");
    this._copyId.title = "Copy the id (c)";
    this._tell = make("button", { type: "button", class: "button tell", "aria-pressed": "false", hidden: true });
    this._tellText = new Text(this._tell);
    this._tell.addEventListener("click", () => this._context.tell?.(this._id));
    this._result = make("a", { class: "button primary", target: "_blank", rel: "noopener noreferrer", hidden: true }, "Go to the result ↗");
    this._acts = new Map(Object.entries(ACTS).map(([verb, { name }]) => {
      const button = make("button", { type: "button", class: "button", "data-verb": verb, hidden: true }, name);
      button.addEventListener("click", () => this._act(verb));
      return [verb, button];
    }));
    this._stage = make("span", { class: "job-stage" });
    this._percent = make("span", { class: "job-percent" });
    this._took = make("span", { class: "job-took" });
    this._who = make("span", { class: "job-who" });
    this._bar = make("div", { class: "job-bar", role: "progressbar", "aria-label": "Done", "aria-valuemin": "0", "aria-valuemax": "100", hidden: true },
      (this._fill = make("span")));
    this._strip = make("ol", { class: "job-strip", "aria-label": "Stages", hidden: true });
    this._message = make("p", { class: "job-message", hidden: true });
    this._error = make("p", { class: "job-error", hidden: true });
    this._stderr = make("details", { class: "job-stderr", hidden: true }, make("summary", {}, "Last lines of standard error"), make("pre", { tabindex: "0" }));
    const id = make("code", { class: "job-id" }, this._id.slice(0, 200));
    this._head = make("header", { class: "card job-head" },
      make("div", { class: "job-name" }, this._title, make("div", { class: "job-acts" }, this._tell, ...this._acts.values(), this._result)),
      make("p", { class: "job-sub" }, id, this._copyId),
      make("div", { class: "job-now" }, this._stage, this._percent, this._took, this._who),
      this._bar, this._strip, this._message, this._error, this._stderr);

    this._texts = {
      title: new Text(this._title), stage: new Text(this._stage), percent: new Text(this._percent),
      took: new Text(this._took), who: new Text(this._who), message: new Text(this._message), error: new Text(this._error),
      stderr: new Text(this._stderr.querySelector("pre")),
    };
    this._timeline = new TimelineView(this._context);
    this._facts = new Facts("Details");
    this._commands = new Facts("In a terminal");
    this._commands.element.classList.add("commands");
    this._value = disclosure("Result");
    this._raw = disclosure("Record (JSON)");
    this._raw.element.addEventListener("toggle", () => this._drawRaw());
    this._log = new Log({ base: settings.base });
    const left = make("div", { class: "job-main" }, this._timeline.element, this._value.element, this._log.element);
    const right = make("div", { class: "job-side" }, this._facts.element, this._commands.element, this._raw.element);
    this._help = helpDialog();
    this._body = make("div", { class: "job-body", hidden: true }, this._head, left, right);
    this.element = make("article", { class: "job-page", "data-page": "job", "data-id": this._id, "aria-label": "Job" }, nav, this._notice, this._body, this._help);
  }

  // -- what the hub says

  _take(change) {
    if (this._closed) return;
    const job = this._jobs.get(this._id);
    if (job) {
      this._job = job;
      this._gone = this._said = null;
    } else if (change.gone.includes(this._id)) {
      this._gone = { why: ownWhy(change.why, this._id), atMs: this._jobs.now() };
    }
    if (change.status?.synced && !job && !this._job) this._ask();
    this._drawSoon();
  }

  /** Ask why there is no such job: its file may be damaged. */
  async _ask() {
    const { base } = this._context.settings;
    const answer = await fetch(`${base}/api/jobs/${encodeURIComponent(this._id)}`).catch(() => null);
    if (answer?.status !== 404 || this._job || this._closed) return;
    const text = (await answer.text()).trim();
    this._said = text.startsWith("the file") ? `T${text.slice(1)}` : "";
    this._drawSoon();
  }

  _drawSoon() {
    if (this._frame) return;
    if (document.hidden) this._isDirty = true; // it is drawn when somebody looks
    else {
      this._frame = requestAnimationFrame(() => {
        this._frame = 0;
        this._draw();
      });
    }
  }

  _explain(text, isMissing = false) {
    this._noticeText.set(text);
    this._notice.hidden = text === "";
    this._noticeLink.hidden = !isMissing;
  }

  _draw() {
    if (this._closed) return;
    this._isDirty = false;
    const job = this._job ?? this._known;
    if (!job) return this._drawNone();
    if (this._body.hidden) {
      this._body.hidden = false;
      if (document.activeElement === document.body) this._title.focus({ preventScroll: true });
    }
    setAttribute(this.element, "data-gone", this._gone ? "yes" : "no");
    this._whole = job === this._job;
    const now = this._now(), { pipelineOf } = this._context;
    this._drawTime(job, now);
    const said = describe(job, job, this._kind, pipelineOf);
    this._context.title = cut(said.name, MAX_TITLE);
    this._texts.title.set(this._context.title);
    this._texts.percent.set(said.percent === null || !isActive(job) ? "" : `${said.percent}%`);
    this._texts.who.set(said.who ? `by ${said.who}` : "");
    this._drawBar(job, said);
    const message = cut([said.progress, said.message].filter(Boolean).join(" · "), MAX_TEXT);
    this._texts.message.set(message);
    this._message.hidden = message === "";
    this._texts.error.set(cut(said.error, MAX_TEXT));
    this._error.hidden = said.error === "";
    const lines = job.stage === "failed" ? stderrOf(job) : "";
    this._texts.stderr.set(lines);
    this._stderr.hidden = lines === "";
    const { sessionUrl } = this._context.settings;
    const result = sessionHref(sessionUrl, job.resultSessionId);
    this._result.hidden = result === null || this._gone !== null;
    if (result !== null) setAttribute(this._result, "href", result);
    // Only by the whole record: an act names the attempt that is shown.
    const verbs = this._whole && !this._gone ? actsFor(job, this._jobs.can, pipelineOf) : [];
    for (const [verb, button] of this._acts) button.hidden = !verbs.includes(verb);
    this._drawFacts(job, now);
    this._timeline.draw(job, now, this._kind);
    const has = job.result !== undefined && job.result !== null;
    this._value.element.hidden = !has;
    if (has && this._shownResult !== job.result) {
      this._shownResult = job.result;
      this._value.text.set(prettyJson(job.result));
    }
    if (this._whole && isRun(job) && this._context.settings.place !== null) {
      this._log.show(job, !isActive(job) || job.derived.lost || this._gone !== null);
    }
  }

  _drawNone() {
    const { state, synced, detail } = this._jobs.status;
    if (state === "error") return this._explain(detail || "The hub refuses to show this job.");
    if (this._gone) return this._explain(goneText(this._gone, this._now()));
    if (!synced) return this._explain("Loading…");
    this._explain(this._said || `There is no job “${this._id}”: it was removed, or it never existed.`, true);
  }

  /** What the time changes. */
  _drawTime(job, now) {
    const { kind } = standing(job, now, this._context.pipelineOf);
    this._kind = kind;
    setAttribute(this.element, "data-kind", kind);
    setAttribute(this.element, "data-known", isAcknowledged(job) ? "yes" : "no");
    const said = describe(job, job, kind, this._context.pipelineOf);
    this._texts.stage.set(said.stage);
    const { took, ended } = timesOf(job, now), active = isActive(job);
    const time = active ? wholeSeconds(took) : duration(took);
    const usual = this._context.usual.text(job), usually = usual && `, usually ${usual}`;
    this._texts.took.set(time && (active ? `for ${time}${usually}` : `${time}${Number.isFinite(ended) ? `, ended ${ago(ended, now)}` : ""}`));
    setAttribute(this._took, "title", exactTime(ended));
    if (this._gone) this._explain(goneText(this._gone, now));
    else this._explain("");
    const can = this._context.tell !== undefined && active && !job.derived.lost && !this._gone;
    const told = this._context.isTold?.(job.id) ?? false;
    this._tell.hidden = !can;
    setAttribute(this._tell, "aria-pressed", told ? "true" : "false");
    this._tellText.set(told ? "You will be told" : "Tell me when it ends");
  }

  _drawBar(job, said) {
    const { percent } = said, shows = percent !== null && isActive(job) && job.stage !== "pending";
    this._bar.hidden = !shows;
    if (shows) {
      setAttribute(this._bar, "aria-valuenow", String(percent));
      this._fill.style.width = `${percent}%`;
    }
    const { stages, text } = said.strip;
    this._strip.hidden = stages.length < 2 || stages.length > MAX_STRIP;
    this._bar.classList.toggle("for-readers", !this._strip.hidden); // the strip shows it then
    const key = JSON.stringify(stages);
    this._showFill(said.strip);
    if (key === this._stripKey || this._strip.hidden) return;
    this._stripKey = key;
    this._strip.title = text;
    this._strip.replaceChildren(...stages.map(({ label, state }) => {
      const item = make("li", { class: state, title: label }, make("span", { class: "name" }, label), make("span", { class: "for-readers" }, STATES[state]));
      if (state === "now") item.setAttribute("aria-current", "step");
      return item;
    }));
    this._showFill(said.strip);
  }

  /** How much of the present stage is done. */
  _showFill({ fraction }) {
    const item = this._strip.querySelector(".now");
    item?.style.setProperty("--fill", `${Math.round(100 * fraction)}%`);
  }

  _drawFacts(job, now) {
    const { settings, view, pipelineOf } = this._context;
    const filtered = (key, value) => hrefOf(withFilter({ ...view, job: null, q: "", show: null }, key, value), settings.base);
    const jobHref = (id) => hrefOf({ ...view, job: id }, settings.base);
    const at = (text) => {
      const ms = knownMs(text);
      return Number.isFinite(ms) ? { text: `${ago(ms, now)}`, exact: exactTime(ms) } : null;
    };
    const text = (value) => (value === null || value === undefined || value === "" ? null
      : { text: typeof value === "string" ? value : JSON.stringify(value) });
    const link = (value, href, more = {}) => (value ? { text: String(value), href, ...more } : null);
    const session = (id) => {
      if (typeof id !== "string" || id === "") return text(id);
      const href = sessionHref(settings.sessionUrl, id);
      return { text: id, href: filtered("session", id), more: href ? { text: "open ↗", href } : null };
    };
    const { label } = pipelineOf(job.type), { began } = timesOf(job, now);
    const run = isRun(job) ? job.run : {}, byOthers = job.acknowledged ?? {};
    const parent = typeof job.parent === "string" && isId(job.parent) ? job.parent : null;
    const labels = typeof job.labels === "object" && job.labels !== null && !Array.isArray(job.labels)
      ? Object.entries(job.labels).filter(([, value]) => typeof value === "string") : [];
    const argv = argvOf(job);
    this._facts.show([
      ["Type", link(job.type, filtered("type", job.type), { note: label && label !== job.type ? label : "" })],
      ["Session", session(job.sessionId)],
      ["Result session", session(job.resultSessionId)],
      ["Labels", labels.length ? { links: labels.map(([key, value]) => ({ text: `${key}=${value}`, href: filtered("label", `${key}=${value}`) })) } : null],
      ["Part of", parent ? { text: this._nameOf(parent), href: jobHref(parent) } : null],
      ["Parts", this._parts],
      ["Attempt", job.retryCount ? { text: String(job.retryCount + 1) } : null],
      ["Created", at(job.createdAt)],
      ["Began", job.retryCount ? { text: ago(began, now), exact: exactTime(began) } : null],
      ["Updated", at(job.updatedAt)],
      ["Completed", at(job.completedAt)],
      ["Acknowledged", isAcknowledged(job) ? { text: [byOthers.by, byOthers.note].filter((part) => typeof part === "string").join(": ") || "yes" } : null],
      ["Worker", isActive(job) && job.owner ? { text: job.owner, mono: true, note: job.derived?.lost ? "gone" : "" } : null],
      ["Host", text(job.host)], ["User", text(job.user)],
      ["Command", argv ? { text: argv, mono: true, copy: true } : null],
      ["Directory", typeof run.cwd === "string" ? { text: run.cwd, mono: true } : null],
      ["Ended with", endText(job) ? { text: endText(job) } : null],
      ["Ran for", Number.isFinite(run.durationMs) ? { text: duration(run.durationMs) } : null],
      ["Processor", Number.isFinite(run.cpuMs) ? { text: duration(run.cpuMs) } : null],
      ["Memory", Number.isFinite(run.maxRssBytes) ? { text: sizeText(run.maxRssBytes) } : null],
      ["Revision", Number.isInteger(job.revision) ? { text: String(job.revision) } : null],
      ["Remarks", job.derived?.remarks?.length ? { lines: job.derived.remarks.map(String) } : null],
    ]);
    const place = settings.place, local = isLocal(location);
    const commands = this._gone ? [] : commandsOf(job, { place, url: hubUrl(location, settings.socket), local, readOnly: settings.readOnly, can: this._jobs.can });
    this._commands.show(commands.map(({ what, line, there }) => (
      [what, { text: line, mono: true, copy: true, note: there ? "on the hub’s machine" : "" }])));
  }

  /** Ask, and do it. This connection has the job also where the table's filter leaves it out. */
  async _act(verb) {
    const job = this._job;
    if (job) await askAndAct({ ...this._context, jobs: this._jobs }, verb, [job]);
  }

  _nameOf(id) {
    const job = this._context.jobs.get(id);
    return job ? nameOf(job, this._context.pipelineOf) : id;
  }

  /** The jobs that were made within this one. */
  _partsOf(parentId) {
    const { settings, view, jobs } = this._context;
    const hrefOfJob = (id) => hrefOf({ ...view, job: id }, settings.base);
    const parts = jobs.all().filter(({ parent, id }) => parent === parentId && id !== parentId);
    if (!parts.length) return null;
    const byAge = parts.sort((one, other) => (one.createdAt < other.createdAt ? -1 : one.createdAt > other.createdAt ? 1 : 0));
    const kindOf = (part) => standing(part, this._now(), this._context.pipelineOf).kind;
    const shown = byAge.slice(-20).map((part) => (
      { text: nameOf(part, this._context.pipelineOf), href: hrefOfJob(part.id), kind: kindOf(part) }));
    return { links: shown, note: parts.length > 20 ? `the last 20 of ${parts.length}` : "" };
  }

  _drawRaw() {
    const job = this._job ?? this._known;
    if (!job || !this._raw.element.open || this._shownRaw === job) return;
    this._shownRaw = job;
    this._raw.text.set(prettyJson(rawRecord(job)));
  }

  // -- next and previous

  /** Look at the other jobs: once a second at most, since there may be many. */
  _look() {
    this._isMoved = false;
    this._board ??= this._makeBoard();
    this._showNeighbours();
    this._parts = this._partsOf(this._id);
  }

  _makeBoard() {
    const { settings, pipelineOf, view, jobs } = this._context, pins = new Pins(settings.base);
    const board = new Board({ pipelineOf, view, isPinned: (id) => pins.has(id) });
    board.replace(jobs.all(), this._context.now(), performance.now());
    return board;
  }

  _showNeighbours() {
    const ids = this._board.ids(), at = ids.indexOf(this._id);
    if (at >= 0) this._place = at;
    // A job that has left the view keeps its place between its neighbours.
    const next = at >= 0 ? ids[at + 1] : this._place >= 0 ? ids[this._place] : ids[0];
    const previous = at >= 0 ? ids[at - 1] : this._place >= 0 ? ids[this._place - 1] : undefined;
    for (const [element, id] of [[this._previous, previous], [this._next, next]]) {
      if (id === undefined) {
        element.removeAttribute("href");
        setAttribute(element, "aria-disabled", "true");
      } else {
        setAttribute(element, "href", hrefOf({ ...this._context.view, job: id }, this._context.settings.base));
        element.removeAttribute("aria-disabled");
      }
    }
  }

  _go(link) {
    if (this._board === null) this._look();
    const href = link.getAttribute("href");
    if (href !== null) this._context.navigate(href);
    return true;
  }

  // -- the page

  shown() {
    scrollTo(0, 0);
    this._title.focus({ preventScroll: true });
  }

  /** Another connection of the table. */
  reset() {
    this._board = null;
    this._isMoved = true;
  }

  update(change) {
    this._board?.update(change, this._context.now(), performance.now());
    this._state.update(change, this._context.now());
    this._isMoved = true;
    if (!this._job) {
      const known = this._jobs && this._context.jobs.get(this._id);
      if (known && !this._gone) this._known = known;
      if (known) this._drawSoon();
    }
  }

  tick(nowMs) {
    this._board?.tick(nowMs, performance.now());
    this._state.tick(nowMs);
    if (this._isMoved) this._look();
    if (this._jobs) this._draw();
    this._drawRaw(); // not more often, since it may be long, and somebody may be reading
  }

  key(event) {
    if (document.querySelector("dialog[open]")) return false; // its keys are its own
    if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return false;
    switch (event.key) {
      case "j": return this._go(this._next);
      case "k": return this._go(this._previous);
      case "c": this._copyId.click(); return true;
      case "l": if (!this._log.element.hidden) this._log.focus(); return true;
      case "?": this._help.showModal(); return true;
      case "Escape": case "u": return this._go(this.element.querySelector(".back"));
      default: return false;
    }
  }

  close() {
    this._closed = true;
    document.getElementById("act")?.close(); // a question about a job that is not shown any more
    clearTimeout(this._later);
    cancelAnimationFrame(this._frame);
    this._jobs?.close();
    this._log.close();
    this._context.title = null;
  }

  _now() {
    return this._jobs && this._job ? this._jobs.now() : this._context.now();
  }
}

function cut(text, max) {
  return text.length > max ? `${text.slice(0, max)} … ${text.length - max} more characters` : text;
}

const STATES = { done: ", done", now: "", stopped: ", ended here", ahead: ", not begun" };

function goneText({ why, atMs }, now) {
  const age = ago(atMs, now);
  if (why?.startsWith("damaged")) return `The file of this job is damaged${why.slice(7)}. This is its last good state, from ${age}.`;
  return `This job was removed ${age}. This is its last state.`;
}

function ownWhy(why, id) {
  return why && Object.hasOwn(why, id) ? why[id] : undefined;
}

function isTyping(element) {
  return element.closest?.("input, textarea, select") !== null && element.type !== "checkbox";
}

const KEYS = [
  ["j k", "Next and previous job"], ["c", "Copy the id"], ["l", "To the log"], ["Escape", "All jobs"], ["?", "This help"],
];

function helpDialog() {
  const rows = KEYS.map(([keys, what]) => [make("dt", {}, make("kbd", {}, keys)), make("dd", {}, what)]).flat();
  return make("dialog", { "aria-labelledby": "job-help" }, make("h2", { id: "job-help" }, "Keys"), make("dl", {}, ...rows),
    make("form", { method: "dialog" }, make("button", {}, "Close")));
}

function disclosure(name) {
  const pre = make("pre", { tabindex: "0" });
  const text = new Text(pre);
  const copy = copyButton(() => pre.textContent, "Copy");
  const element = make("details", { class: "card disclosure", hidden: false }, make("summary", {}, name), make("div", { class: "disclosed" }, copy, pre));
  return { element, text };
}
