// The types that did not succeed in time: the hub's settings say how often they have to.

import { make } from "./dom.js";

const EVERY_MS = 60000, SOON_MS = 500;

export class Overdue {
  constructor({ settings, pipelineOf }) {
    this._url = `${settings.base}/api/overdue`;
    this._isExpected = (type) => pipelineOf(type).expectMs !== null;
    this._list = make("ul", { id: "overdue", "aria-label": "Overdue", hidden: true });
    this.element = make("div", { role: "status" }, this._list);
    this._looks = 0;
    this._timer = 0;
    this._isUsed = Object.keys(settings.pipelines).some(this._isExpected);
    this._onVisible = () => this._look();
    if (!this._isUsed) return;
    document.addEventListener("visibilitychange", this._onVisible);
    this._look();
  }

  /** A job of such a type may have completed: look soon, and not at the end of the minute. */
  update({ jobs }) {
    if (this._isUsed && !this._isSoon && jobs.some(({ type }) => this._isExpected(type))) {
      this._isSoon = true;
      this._lookIn(SOON_MS);
    }
  }

  close() {
    clearTimeout(this._timer);
    this._looks = NaN;
    document.removeEventListener("visibilitychange", this._onVisible);
  }

  _lookIn(ms) {
    clearTimeout(this._timer);
    this._timer = setTimeout(() => this._look(), ms);
  }

  async _look() {
    this._isSoon = false;
    this._lookIn(EVERY_MS);
    if (document.hidden) return;
    const number = ++this._looks;
    const answer = await fetch(this._url).catch(() => null);
    if (!answer?.ok) return; // the state of the connection says that the hub is away
    const { overdue } = await answer.json();
    if (number !== this._looks) return; // a later look knows more
    this._list.replaceChildren(...overdue.map(({ text }) => make("li", {}, String(text))));
    this._list.hidden = !overdue.length;
  }
}
