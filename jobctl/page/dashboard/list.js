// The page of the table: overview, search and chips, the rows, and the keys.

import { chipsOf, hrefOf, withFilter, withoutFilter } from "./address.js";
import { Board } from "./board.js";
import { make, setAttribute, Text } from "./dom.js";
import { Counts, Plots } from "./overview.js";
import { countText } from "./model.js";
import { Overdue } from "./overdue.js";
import { Pins } from "./pins.js";
import { COLUMNS } from "./row.js";
import { Rows } from "./rows.js";
import { Selection } from "./selection.js";
import { State } from "./state.js";

const PAINT_MS = 200; // between two paints while jobs change without a pause
const TELL_MS = 1000; // of no typing, before what was found is read out
const TYPE_CHIPS = 6;

const KEYS = [
  ["/", "Search"], ["j k or ↓ ↑", "Next and previous job"], ["Home End", "First and last job"],
  ["Page Up, Page Down", "A screen of jobs"], ["Enter", "Open the job"], ["p", "Pin the job, or unpin it"],
  ["x", "Select the job, where you may act on it"], ["Escape", "Leave the search, or the table; select nothing"], ["?", "This help"],
];

let lastOpened = null; // the job whose page was opened last, to come back to it

export function listPage(context) {
  return new ListPage(context);
}

class ListPage {
  constructor(context) {
    this._context = context;
    const { view, jobs, settings } = context;
    this._pins = new Pins(settings.base);
    this._board = new Board({ pipelineOf: context.pipelineOf, view, isPinned: (id) => this._pins.has(id) });
    this._board.replace(jobs.all(), context.now(), performance.now());
    this._selection = new Selection(context, this._board, () => this._rows.render());
    this._rows = new Rows(context, this._board, this._pins, this._selection);
    this._counts = new Counts(context);
    this._plots = new Plots();
    this._overdue = new Overdue(context);
    this._state = new State(context);
    this._paintedAt = -Infinity;
    this._seenTypes = new Set();
    this._make();
    this.show(view);
    this._state.update({ jobs: jobs.all(), gone: [] }, context.now());
  }

  _make() {
    this._search = make("input", {
      type: "search", id: "search", placeholder: "Search", "aria-label": "Search id, title, type, session, message and error",
      "aria-keyshortcuts": "/", autocomplete: "off", spellcheck: "false", enterkeyhint: "search",
    });
    this._chips = make("ul", { id: "filter", "aria-label": "Filter" });
    this._types = make("ul", { id: "types", "aria-label": "Types" });
    const found = make("span", { id: "found" }), told = make("span", { class: "for-readers", role: "status" });
    this._found = new Text(found);
    this._told = new Text(told); // after a search, and not for each change of a job
    this._sort = make("select", { id: "sort", "aria-label": "Order" }, new Option("Trouble first", ""));
    for (const { name, sort } of COLUMNS) {
      if (!sort) continue;
      const key = sort.replace(/^-/, ""), isTime = key === "started" || key === "ended";
      const [up, down] = isTime ? ["oldest first", "newest first"] : key === "took" || key === "done" ? ["least first", "most first"] : ["A–Z", "Z–A"];
      const options = [new Option(`${name}, ${up}`, key), new Option(`${name}, ${down}`, `-${key}`)];
      this._sort.append(...(sort === key ? options : options.reverse()));
    }
    const help = make("button", { type: "button", id: "help-button", "aria-label": "Keys", "aria-keyshortcuts": "?", title: "Keys (?)" }, "?");
    const tools = make("div", { id: "tools", role: "search" }, this._search, this._chips, this._types, found, told, this._sort, help);
    this._help = makeHelp();
    this._empty = make("p", { id: "empty", hidden: true }, "No jobs yet. Start one: ", make("code", {}, "jobctl run -- COMMAND"));
    this._folded = make("a", { id: "folded", hidden: true });
    this._foldedText = new Text(this._folded);
    this._none = make("p", { id: "none", hidden: true }, "No such jobs now.");
    this.element = make("section", { class: "list" },
      make("div", { id: "overview" }, this._counts.element, this._plots.element),
      this._overdue.element, tools, this._folded, this._rows.news, this._rows.element, this._empty, this._none, this._selection.element, this._help);
    this._search.addEventListener("input", () => this._typed());
    this._sort.addEventListener("change", () => this._context.navigate({ ...this._context.view, sort: this._sort.value || null }));
    help.addEventListener("click", () => this._help.showModal());
    this._rows.element.addEventListener("click", ({ target }) => {
      const id = target.closest("[data-id]")?.dataset.id;
      if (id !== undefined) lastOpened = id;
    }, { capture: true });
  }

  /** The page is in the document now. */
  shown() {
    this._rows.shown();
    if (lastOpened !== null) this._rows.focus(lastOpened);
    lastOpened = null;
    this._paint();
  }

  /** Another view of the same jobs. */
  show(view) {
    if (view !== this._view) this._board.setView(view);
    this._selection.clear(); // what is not seen is not acted on
    this._view = view;
    if (this._search.value.trim() !== view.q) this._search.value = view.q;
    this._sort.value = view.sort ?? "";
    this._counts.setView(view);
    this._folded.href = hrefOf({ ...view, show: "failed" }, this._context.settings.base);
    this._plots.element.hidden = view.filter.active; // nothing ends in it
    this._rows.setView(view);
    this._showChips(view);
    this._showTypes(true);
    this._paint();
  }

  /** Another connection: its jobs come anew. */
  reset() {
    this._rows.reset();
    this._isOld = true; // what is shown, until the first jobs come
  }

  update(change) {
    const { jobs } = this._context;
    this._rows.noteGone(change);
    if (!this._isOld) this._board.update(change, this._context.now(), performance.now());
    else if (change.jobs.length || jobs.status.synced) {
      this._isOld = false;
      this._board.replace(jobs.all(), this._context.now(), performance.now());
    }
    this._overdue.update(change);
    this._state.update(change, this._context.now());
    if (document.hidden) return;
    const waitMs = PAINT_MS - (performance.now() - this._paintedAt);
    if (waitMs <= 0 || !this._rows.ids.length) this._paint(); // somebody waits for the first rows
    else this._timer ||= setTimeout(() => requestAnimationFrame(() => this._paint()), waitMs);
  }

  tick(nowMs) {
    if (!this.element.isConnected) return;
    this._board.tick(nowMs, performance.now());
    this._state.tick(nowMs);
    this._selection.update();
    this._showTypes();
    this._plots.update(this._board.hour.summary(nowMs));
    this._counts.update(this._board.counts);
    this._rows.tick(nowMs);
    this._paint();
  }

  close() {
    clearTimeout(this._timer);
    clearTimeout(this._telling);
    this._rows.close();
    this._overdue.close();
  }

  _paint() {
    clearTimeout(this._timer);
    this._timer = 0;
    if (document.hidden || !this.element.isConnected) return;
    this._paintedAt = performance.now();
    this._rows.render();
    const { total, order, counts } = this._board, { status } = this._context.jobs, { view } = this._context;
    this._counts.update(counts);
    const isLess = view.q !== "" || view.show !== null;
    this._found.set(isLess ? `${countText(order.size)} of ${countText(total)}` : "");
    const { folded } = this._board;
    this._folded.hidden = !folded;
    if (folded) this._foldedText.set(`${countText(folded)} older failures are not in this list: show all failed`);
    const hasRows = order.size > 0 || this._rows.ids.length > 0; // also of jobs that are gone, while held
    const isEmpty = !hasRows && status.synced, isFiltered = isLess || chipsOf(view).length > 0;
    setAttribute(this._rows.element, "data-acts", this._selection.isOffered ? "yes" : "no");
    setAttribute(this._rows.element, "data-empty", hasRows ? "no" : "yes");
    for (const [key, count] of Object.entries(this._board.said)) setAttribute(this._rows.element, `data-${key}`, count ? "yes" : "no");
    setAttribute(this.element, "data-empty", isEmpty && !isFiltered ? "yes" : "no");
    this._empty.hidden = !isEmpty || isFiltered;
    this._none.hidden = !isEmpty || !isFiltered;
    if (!this._hasPlots && status.synced) {
      this._hasPlots = true;
      this._plots.update(this._board.hour.summary(this._context.now()));
      this._showTypes();
    }
  }

  // -- search and chips

  _typed() {
    const q = this._search.value.trim();
    if (q !== this._context.view.q) this._context.navigate({ ...this._context.view, q }, { replace: true });
    clearTimeout(this._telling);
    this._telling = setTimeout(() => this._told.set(`${countText(this._board.order.size)} of ${countText(this._board.total)} jobs`), TELL_MS);
  }

  _showChips(view) {
    const chips = chipsOf(view);
    this._chips.replaceChildren(...chips.map(({ key, value, text }) => {
      const href = hrefOf(withoutFilter(view, key, value), this._context.settings.base);
      return make("li", {}, make("a", { class: "chip", href, "aria-label": `Remove ${text}` }, make("span", {}, text)));
    }));
    this._chips.hidden = !chips.length;
  }

  /** The most frequent types, to filter by. Those that were seen stay, or a filter would hide them. */
  _showTypes(isOther = false) {
    if (!this._context.jobs.status.synced && !this._typesShown) return; // the counts are not known yet
    for (const type of this._board.types.keys()) this._seenTypes.add(type);
    const { view, settings } = this._context;
    const types = [...this._seenTypes].filter((type) => typeof type === "string" && type && !view.filter.type.includes(type));
    const count = (type) => this._board.types.get(type) ?? 0;
    if (!isOther && (this._typesShown?.length || types.length < 2)) return; // they do not jump about
    types.sort((one, other) => count(other) - count(one) || (one < other ? -1 : 1));
    this._typesShown = types.length + view.filter.type.length < 2 ? [] : types.slice(0, TYPE_CHIPS);
    this._types.replaceChildren(...this._typesShown.map((type) => {
      const href = hrefOf(withFilter(view, "type", type), settings.base);
      return make("li", {}, make("a", { class: "chip", href, "aria-label": `Only type ${type}` }, make("span", {}, type)));
    }));
    this._types.hidden = !this._typesShown.length;
  }

  // -- keys

  key(event) {
    const { target, key } = event;
    if (document.querySelector("dialog[open]")) return false; // the browser closes it
    if (event.ctrlKey || event.metaKey || event.altKey) return false;
    if (target === this._search) return this._searchKey(key);
    if (target.closest?.("input, select, textarea, [contenteditable]")) return false;
    const rows = this._rows, isInside = rows.hasFocus;
    if (key === "/") this._search.select();
    else if (key === "?") this._help.showModal();
    else if (key === "j") rows.step(1);
    else if (key === "k") rows.step(-1);
    else if (key === "ArrowDown" && isInside) rows.step(1);
    else if (key === "ArrowUp" && isInside) rows.step(-1);
    else if (key === "PageDown" && isInside) rows.step(rows.page);
    else if (key === "PageUp" && isInside) rows.step(-rows.page);
    else if (key === "Home" && isInside) rows.goTo(0);
    else if (key === "End" && isInside) rows.goTo(Infinity);
    else if (key === "p" && rows.current !== null) rows.pin(rows.current);
    else if (key === "x" && rows.current !== null) this._selection.toggle(rows.current);
    else if (key === "Escape" && this._selection.size) this._selection.clear();
    else if (key === "Escape" && isInside) document.activeElement.blur();
    else return false;
    return true;
  }

  _searchKey(key) {
    if (key === "Escape") {
      if (this._search.value) {
        this._search.value = "";
        this._typed();
      } else this._search.blur();
    } else if (key === "ArrowDown" || key === "Enter") this._rows.goTo(0);
    else return false;
    return true;
  }
}

function makeHelp() {
  const list = make("dl", {}, ...KEYS.flatMap(([keys, text]) => [make("dt", {}, make("kbd", {}, keys)), make("dd", {}, text)]));
  const close = make("form", { method: "dialog" }, make("button", {}, "Close"));
  const dialog = make("dialog", { id: "help", "aria-labelledby": "help-title" }, make("h2", { id: "help-title" }, "Keys"), list, close);
  dialog.addEventListener("click", ({ target }) => target === dialog && dialog.close());
  return dialog;
}
