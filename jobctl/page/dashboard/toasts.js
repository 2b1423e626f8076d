// Short notices in a corner. Many at once are one: "37 jobs failed".

import { isCancelled } from "../client.js";
import { hrefOf } from "./address.js";
import { make, Text } from "./dom.js";
import { errorOf } from "./model.js";

const MAX_EACH = 3; // more of one kind are told together
const SHOWN_TICKS = { failed: 30, cancelled: 10, told: 60, note: 12 }; // seconds in which somebody can see them
const MAX_WORDS = 160; // characters of an error

export class Toasts {
  constructor(context) {
    this._context = context;
    this._box = document.getElementById("toasts");
    this._groups = { failed: new Group("failed"), cancelled: new Group("cancelled") };
  }

  /** Tell of jobs that failed or were cancelled: [{job, name}]. */
  ended(found) {
    for (const { job, name } of found) {
      const kind = isCancelled(job) ? "cancelled" : "failed";
      this._groups[kind].add(job.id, { name, text: errorOf(job) });
    }
    for (const group of Object.values(this._groups)) this._showGroup(group);
  }

  /** Tell of a job that somebody wanted to hear of. */
  told({ id, name, how }) {
    this._show("told", { name, how, href: this._hrefOf(id), text: "" });
  }

  /** Tell a sentence. */
  say(text) {
    this._show("note", { name: "", how: text, href: null, text: "" });
  }

  /** A second has passed while somebody could see the page. */
  tick() {
    for (const toast of [...this._box.children]) {
      if (toast.matches(":hover, :focus-within")) continue;
      toast._ticks -= 1;
      if (toast._ticks <= 0) this._remove(toast);
    }
  }

  _hrefOf(id) {
    return hrefOf({ ...this._context.view, job: id }, this._context.settings.base);
  }

  _showGroup(group) {
    if (!group.news.length) return;
    const { kind } = group;
    if (group.size <= MAX_EACH) {
      for (const [id, { name, text }] of group.news) {
        group.toasts.push(this._show(kind, { name, how: VERBS[kind], href: this._hrefOf(id), text }));
      }
    } else if (group.merged) {
      group.merged._name.set(`${group.size} jobs`);
      group.merged._ticks = SHOWN_TICKS[kind];
    } else {
      for (const toast of group.toasts) toast.remove();
      const { view, settings } = this._context;
      const href = hrefOf({ ...view, job: null, show: kind }, settings.base);
      group.merged = this._show(kind, { name: `${group.size} jobs`, how: kind === "failed" ? "failed" : "were cancelled", href, text: "" });
      group.toasts = [group.merged];
    }
    group.news = [];
  }

  _show(kind, { name, how, href, text }) {
    const link = make(href ? "a" : "span", href ? { href, class: "toast-name" } : { class: "toast-name" });
    const close = make("button", { type: "button", class: "toast-close", "aria-label": "Dismiss" }, "×");
    const toast = make("div", { class: "toast", "data-kind": kind === "told" ? "running" : kind },
      make("p", {}, link, name ? ` ${how}` : how), close);
    toast._name = new Text(link);
    toast._name.set(name);
    if (text) toast.firstChild.after(make("p", { class: "toast-text" }, text.length > MAX_WORDS ? `${text.slice(0, MAX_WORDS)}…` : text));
    toast._ticks = SHOWN_TICKS[kind];
    close.addEventListener("click", () => this._remove(toast));
    link.addEventListener("click", () => this._remove(toast));
    this._box.append(toast);
    return toast;
  }

  _remove(toast) {
    toast.remove();
    for (const group of Object.values(this._groups)) group.removed(toast);
  }
}

const VERBS = { failed: "failed", cancelled: "was cancelled" };

/** The jobs of one kind that are told of now. */
class Group {
  constructor(kind) {
    this.kind = kind;
    this._clear();
  }

  get size() {
    return this._ids.size;
  }

  add(id, said) {
    if (!this.toasts.length && !this.news.length) this._clear();
    this._ids.add(id);
    this.news.push([id, said]);
  }

  removed(toast) {
    this.toasts = this.toasts.filter((one) => one !== toast);
    if (!this.toasts.length) this._clear();
  }

  _clear() {
    this._ids = new Set();
    this.news = [];
    this.toasts = [];
    this.merged = null;
  }
}
