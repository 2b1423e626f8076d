// The jobs that are selected, and the bar with what the session may do to them.

import { ACTS, actsFor, askAndAct } from "./acts.js";
import { make, Text } from "./dom.js";

export class Selection {
  constructor(context, board, onchange) {
    this._context = context;
    this._board = board;
    this._onchange = onchange;
    this._ids = new Set();
    const count = make("span", { class: "number", role: "status" });
    this._count = new Text(count);
    this._buttons = Object.entries(ACTS).map(([verb]) => {
      const button = make("button", { type: "button", "data-act": verb });
      button.addEventListener("click", () => this._act(verb));
      return { verb, button, text: new Text(button) };
    });
    const all = make("button", { type: "button", "data-act": "all" });
    this._all = new Text(all);
    all.addEventListener("click", () => this.setAll());
    const none = make("button", { type: "button", "data-act": "none" }, "Clear");
    none.addEventListener("click", () => this.clear());
    this.element = make("div", { id: "selection", role: "toolbar", "aria-label": "Selected jobs", hidden: true },
      count, ...this._buttons.map(({ button }) => button), all, none);
  }

  /** Whether this session may do anything. */
  get isOffered() {
    const { can } = this._context.jobs;
    if (this._context.view.kiosk) return false;
    return Object.values(ACTS).some(({ right }) => can.includes(right));
  }

  get size() {
    return this._ids.size;
  }

  has(id) {
    return this._ids.has(id);
  }

  toggle(id) {
    if (!this.isOffered) return;
    if (!this._ids.delete(id)) this._ids.add(id);
    this._changed();
  }

  /** All jobs that match the view. */
  setAll() {
    this._ids = new Set(this._board.matching());
    this._changed();
  }

  clear() {
    if (!this._ids.size) return;
    this._ids.clear();
    this._changed();
  }

  _changed() {
    this.update();
    this._onchange();
  }

  /** Jobs change and go while they are selected. */
  update() {
    if (!this.isOffered) this._ids.clear();
    const counts = Object.fromEntries(Object.keys(ACTS).map((verb) => [verb, 0]));
    const { can } = this._context.jobs;
    for (const id of this._ids) {
      const job = this._board.job(id);
      if (job === undefined) this._ids.delete(id);
      else for (const verb of actsFor(job, can, this._context.pipelineOf)) counts[verb] += 1;
    }
    this.element.hidden = !this._ids.size;
    if (!this._ids.size) return;
    this._count.set(`${this._ids.size} selected`);
    for (const { verb, button, text } of this._buttons) {
      button.hidden = !counts[verb];
      text.set(`${ACTS[verb].name} ${counts[verb]}`);
    }
    this._all.set(`Select all ${this._board.order.size} that match`);
  }

  async _act(verb) {
    const { jobs, pipelineOf } = this._context;
    const chosen = [...this._ids].map((id) => this._board.job(id))
      .filter((job) => job && actsFor(job, jobs.can, pipelineOf).includes(verb));
    if (!chosen.length) return;
    await askAndAct(this._context, verb, chosen);
    this.update();
  }
}
