// One row of the table: its elements are made once, and used for one job after the other.

import { hrefOf, withFilter } from "./address.js";
import { make, Text } from "./dom.js";
import { ago, describe, exactTime, isActive, timesOf, wholeSeconds } from "./model.js";

const MAX_SEGMENTS = 24; // a strip of more stages is one bar

/** The columns: key, name, and whether the table can be sorted by it, and in which direction first. */
export const COLUMNS = [
  { key: "select", name: "Selected", isHidden: true },
  { key: "job", name: "Job", sort: "job" },
  { key: "id", name: "ID" },
  { key: "type", name: "Type", sort: "type" },
  { key: "session", name: "Session", sort: "session" },
  { key: "stage", name: "Stage", sort: "stage" },
  { key: "done", name: "Done", sort: "-done" },
  { key: "detail", name: "Detail", sort: "detail" },
  { key: "who", name: "By", sort: "who" },
  { key: "started", name: "Started", sort: "-started" },
  { key: "ended", name: "Ended", sort: "-ended" },
  { key: "took", name: "Time", sort: "-took" },
  { key: "pin", name: "Pinned", isHidden: true },
];

export class Row {
  constructor(context) {
    this._context = context;
    this.id = null;
    this._job = this._worker = this._kind = this._depth = this._view = null;
    const cells = {};
    for (const { key } of COLUMNS) cells[key] = make("div", { role: "gridcell", class: key });
    this._cells = cells;
    this.link = cells.job.appendChild(make("a", { class: "title", tabindex: "-1" }));
    this._typeLink = cells.type.appendChild(make("a", { tabindex: "-1" }));
    this._sessionLink = cells.session.appendChild(make("a", { tabindex: "-1" }));
    this._stageElement = cells.stage.appendChild(make("span", { class: "stage-name" }));
    this._strip = cells.done.appendChild(make("span", { class: "strip", role: "img" }));
    const percent = cells.done.appendChild(make("span", { class: "percent" }));
    const progress = cells.detail.appendChild(make("span", { class: "progress" }));
    const message = cells.detail.appendChild(make("span", { class: "note" }));
    const error = cells.detail.appendChild(make("span", { class: "error" }));
    this._started = cells.started.appendChild(make("time"));
    this._ended = cells.ended.appendChild(make("time"));
    this.box = cells.select.appendChild(make("input", { type: "checkbox", tabindex: "-1", "aria-label": "Select" }));
    this.pin = cells.pin.appendChild(make("button", { type: "button", tabindex: "-1", class: "pin-button", "aria-label": "Pin", "aria-pressed": "false" }));
    this._texts = {
      title: new Text(this.link), id: new Text(cells.id), type: new Text(this._typeLink),
      session: new Text(this._sessionLink), stage: new Text(this._stageElement),
      percent: new Text(percent), progress: new Text(progress), message: new Text(message),
      error: new Text(error), who: new Text(cells.who), started: new Text(this._started),
      ended: new Text(this._ended), took: new Text(cells.took),
    };
    this.element = make("div", { role: "row", class: "row" }, ...Object.values(cells));
    this._segments = [];
    this._stripKey = "";
    this._index = -1;
  }

  /** Place the row. */
  move(index, heightPx) {
    if (index === this._index) return;
    this._index = index;
    this.element.style.transform = `translateY(${index * heightPx}px)`;
    this.element.setAttribute("aria-rowindex", String(index + 2)); // the first is the header
    this.element.dataset.even = index % 2 ? "no" : "yes";
  }

  /** Whether the job is selected. */
  select(isSelected) {
    if (this.box.checked !== isSelected) this.box.checked = isSelected;
    if (isSelected === (this._isSelected ?? false)) return;
    this._isSelected = isSelected;
    this.element.dataset.selected = isSelected ? "yes" : "no";
    this.element.setAttribute("aria-selected", String(isSelected));
  }

  /** The place has to be computed anew: the height of rows is another one. */
  unplace() {
    this._index = -1;
  }

  /** Show the job as it is on the board; `job` is undefined for one that is gone, and `why`. */
  fill(id, job, worker, kind, depth, isPinned, nowMs, why) {
    const { element, _texts: texts } = this, { view, settings, pipelineOf } = this._context;
    const isOther = id !== this.id;
    if (isOther) {
      this.id = id;
      element.dataset.id = id;
      this._job = null;
      this._isGone = false;
    }
    if (isPinned !== this._isPinned || isOther) {
      this._isPinned = isPinned;
      element.dataset.pinned = isPinned ? "yes" : "no";
      this.pin.setAttribute("aria-pressed", String(isPinned));
    }
    if (job === undefined) return this._fillGone(why);
    const isSame = job === this._job && worker === this._worker && kind === this._kind && depth === this._depth;
    if (isSame && view === this._view) return;
    this._isGone = false;
    const said = describe(job, worker, kind, pipelineOf);
    element.dataset.kind = kind;
    element.dataset.stage = worker.stage;
    element.dataset.depth = String(Math.min(depth, 3));
    element.dataset.active = isActive(job) ? "yes" : "no";
    element.dataset.known = said.isKnown ? "yes" : "no";
    if (isOther || view !== this._view) this.link.href = hrefOf({ ...view, job: id }, settings.base);
    if (isOther || view !== this._view || this._type !== job.type || this._session !== job.sessionId) {
      this._type = job.type;
      this._session = job.sessionId;
      this._typeLink.href = hrefOf(withFilter(view, "type", String(job.type)), settings.base);
      const session = typeof job.sessionId === "string" ? job.sessionId : "";
      this._sessionLink.href = hrefOf(withFilter(view, "session", session), settings.base);
      this._sessionLink.hidden = session === "";
      texts.type.set(String(job.type));
      texts.session.set(session);
    }
    this._job = job;
    this._worker = worker;
    this._kind = kind;
    this._depth = depth;
    this._view = view;
    texts.title.set(said.name);
    texts.id.set(id);
    texts.stage.set(said.stage);
    texts.percent.set(said.percent === null || kind === "pending" ? "" : `${said.percent}%`);
    texts.progress.set(said.progress);
    texts.message.set(said.message);
    texts.error.set(said.error);
    texts.who.set(said.who);
    element.dataset.by = said.who ? "yes" : "no";
    this._fillStrip(said);
    this._times = timesOf(job, nowMs);
    this._setTime(this._started, this._times.began);
    this._setTime(this._ended, this._times.ended);
    this.tick(nowMs);
  }

  _fillGone(why = "removed") {
    if (this._isGone) return;
    this._isGone = true;
    this.element.dataset.kind = "gone";
    this._texts.stage.set(why === "filtered" ? "No longer matches" : why === "removed" ? "Removed" : "Damaged");
    if (this._job === null) this._texts.title.set(this.id);
    this._job = null;
  }

  _setTime(element, ms) {
    const text = Number.isFinite(ms) ? new Date(ms).toISOString() : "";
    if (element.dateTime !== text) element.dateTime = text;
  }

  _fillStrip({ strip, percent, kind }) {
    const { stages, fraction, at, text } = strip;
    const isBar = stages.length < 1 || stages.length > MAX_SEGMENTS;
    const key = isBar ? `bar ${percent} ${kind}` : `${at} ${fraction} ${kind} ${stages.map(({ label, state }) => `${state} ${label}`).join("\n")}`;
    if (key === this._stripKey) return;
    this._stripKey = key;
    const shown = isBar ? [{ label: text, state: percent === null || kind === "pending" ? "ahead" : percent === 100 ? "done" : "now" }] : stages;
    while (this._segments.length > shown.length) this._segments.pop().remove();
    while (this._segments.length < shown.length) this._segments.push(this._strip.appendChild(make("span")));
    shown.forEach(({ label, state }, index) => {
      const segment = this._segments[index];
      if (segment.className !== state) segment.className = state;
      if (segment.title !== label) segment.title = label;
      const part = state === "now" ? (isBar ? percent / 100 : fraction) : 1;
      const fill = `${Math.round(part * 1000) / 10}%`;
      if (segment.fill !== fill) segment.style.setProperty("--fill", (segment.fill = fill));
    });
    const names = isBar ? "" : ` (${stages.map(({ label }) => label).join(", ")})`;
    const label = text ? text + names : percent === null ? "no stages" : `${percent}% done`;
    this._strip.setAttribute("aria-label", label);
  }

  /** What the time changes. */
  tick(nowMs) {
    if (this._job === null) return;
    const { began, ended } = this._times, active = isActive(this._job);
    const took = active ? Math.max(0, nowMs - began) : this._times.took;
    this._texts.took.set(wholeSeconds(took));
    this._texts.started.set(ago(began, nowMs));
    this._texts.ended.set(ago(ended, nowMs));
  }

  /** The exact words for a cell: what is cut, and the times to the millisecond. */
  hint(cell) {
    if (this._job === null) return "";
    const { began, ended, took } = this._times;
    if (cell === this._cells.started) return Number.isFinite(began) ? `Started ${exactTime(began)}` : "";
    if (cell === this._cells.ended) return Number.isFinite(ended) ? `Ended ${exactTime(ended)}` : "";
    if (cell === this._cells.took) {
      const times = [["Started", began], ["Ended", ended]].filter(([, ms]) => Number.isFinite(ms));
      const exactly = Number.isFinite(ended) && Number.isFinite(took) ? `Took ${took / 1000} s` : "";
      const usual = this._context.usual.text(this._job);
      const usually = usual && `Usually ${usual}`;
      return [...times.map(([word, ms]) => `${word} ${exactTime(ms)}`), exactly, usually].filter(Boolean).join("\n");
    }
    if (cell === this._cells.done || cell === this._cells.pin || cell === this._cells.select) return "";
    if (cell === this._cells.who) return [cell.textContent, this._job.owner && `process ${this._job.owner}`].filter(Boolean).join("\n");
    return cell.textContent;
  }
}
