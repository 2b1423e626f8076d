// The table: as many rows as the screen shows, at the places of all. Real scrolling of the page
// reaches every job. While the pointer or the focus is in the table, the order is held still.

import { hrefOf } from "./address.js";
import { make, setAttribute, Text } from "./dom.js";
import { countText } from "./model.js";
import { COLUMNS, Row } from "./row.js";

const OVERSCAN = 6; // rows beyond the screen
const HOLD_MS = 60000; // the order is held for so long after the last sign of a reader
const ORDER_MS = 500; // between two orders
const MAX_PX = 16000000; // browsers show no taller element

export class Rows {
  constructor(context, board, pins, selection) {
    this._context = context;
    this._board = board;
    this._pins = pins;
    this._selection = selection;
    this.ids = [];
    this._index = null; // id → place, of `ids`
    this._shown = new Map(); // id → Row
    this._spare = [];
    this._orderedAt = -Infinity;
    this._top = 0;
    this._height = 0; // of a row, in px
    this._isInside = this._hasFocus = false;
    this._signAt = -Infinity;
    this._isLoaded = false; // all jobs of the connection have been shown once
    this._current = null; // the id of the row that the keys move from
    this._heldView = null; // the view of `ids`
    this._why = new Map(); // id → why it is gone, of rows that are held
    this._held = null; // the ids that are shown while the order is held
    this._make();
  }

  _make() {
    this._headers = new Map();
    const header = make("div", { role: "row", class: "row header", "aria-rowindex": "1" });
    for (const { key, name, sort, isHidden } of COLUMNS) {
      const cell = make("div", { role: "columnheader", class: key });
      if (sort) {
        const button = make("button", { type: "button", "data-sort": sort }, name);
        cell.append(button);
        this._headers.set(sort.replace(/^-/, ""), { cell, button, sort });
      } else cell.append(isHidden ? make("span", { class: "for-readers" }, name) : name);
      header.append(cell);
    }
    this.body = make("div", { id: "rows", role: "rowgroup" });
    this._news = make("button", { type: "button", id: "news", hidden: true });
    this._newsText = new Text(this._news);
    this._head = make("div", { class: "head", role: "rowgroup" }, header);
    this.element = make("div", { class: "table", role: "grid", "aria-label": "Jobs", "aria-readonly": "true" }, this._head, this.body);
    this.news = make("div", { class: "news" }, this._news);
    header.addEventListener("click", ({ target }) => this._sort(target.closest("[data-sort]")));
    this._news.addEventListener("click", () => this.catchUp());
    this.body.addEventListener("click", (event) => this._click(event));
    this.body.addEventListener("focusin", ({ target }) => this._focus(target));
    this.body.addEventListener("focusout", () => (this._hasFocus = false));
    this.body.addEventListener("pointerover", ({ target }) => this._hint(target));
    for (const type of ["pointermove", "pointerdown", "wheel"]) {
      this.body.addEventListener(type, () => this._sign(), { passive: true });
    }
    for (const element of [this.body, this._news]) { // the button lies over the rows
      element.addEventListener("pointerenter", () => this._sign());
      element.addEventListener("pointerleave", ({ pointerType }) => {
        if (pointerType === "mouse") this._isInside = false;
      });
    }
    this._onScroll = () => this._askForFrame();
    this._onResize = () => this._measure();
    addEventListener("scroll", this._onScroll, { passive: true });
    addEventListener("resize", this._onResize);
    this._observer = new ResizeObserver(() => this._measure());
  }

  /** The table is in the page now. */
  shown() {
    this._observer.observe(document.body);
    this._measure();
  }

  close() {
    removeEventListener("scroll", this._onScroll);
    removeEventListener("resize", this._onResize);
    this._observer.disconnect();
    cancelAnimationFrame(this._frame);
    clearTimeout(this._later);
  }

  // -- the order

  /** Whether somebody reads or points at the table. */
  get isHeld() {
    if (!this._isLoaded) return false; // the first jobs come one page after the other
    return (this._isInside || this._hasFocus) && performance.now() - this._signAt < HOLD_MS;
  }

  _sign() {
    this._isInside = true;
    this._signAt = performance.now();
  }

  /** Take the newest order, if it is not held. */
  _order() {
    const ids = this._board.rows();
    if (!this._isLoaded && this._context.jobs.status.synced) {
      this._isLoaded = true;
      return this._take(ids);
    }
    if (ids === this.ids) return this._say(0, false);
    const now = performance.now();
    if (this.isHeld && this.ids.length && this._heldView === this._context.view) {
      if (now - (this._comparedAt ?? -Infinity) < ORDER_MS) return;
      this._comparedAt = now;
      this._held ??= new Set(this.ids);
      let count = 0;
      for (const id of ids) if (!this._held.has(id)) count += 1;
      return this._say(count, true);
    }
    if (now - this._orderedAt < ORDER_MS && this.ids.length && this._heldView === this._context.view) {
      this._later ||= setTimeout(() => {
        this._later = 0;
        this._askForFrame();
      }, ORDER_MS - (now - this._orderedAt));
      return;
    }
    this._take(ids);
  }

  _take(ids) {
    this.ids = ids;
    this._index = this._held = null;
    this._why.clear();
    const isOther = this._heldView !== null && this._heldView !== this._context.view;
    this._heldView = this._context.view;
    this._orderedAt = performance.now();
    this._comparedAt = undefined;
    this._say(0, false);
    const count = this.ids.length;
    setAttribute(this.element, "aria-rowcount", String(count + 1));
    this.body.style.height = `${Math.min(MAX_PX, count * this._height)}px`;
    if (isOther && scrollY > this._top - this._headPx) scrollTo({ top: Math.max(0, this._top - this._headPx) });
  }

  _say(count, isOther) {
    if (this._news.hidden === (isOther && count > 0)) this._news.hidden = !(isOther && count > 0);
    if (count) this._newsText.set(`${countText(count)} new ↑`);
  }

  /** Take the newest order although it is held, and go to its top. */
  catchUp() {
    this._take(this._board.rows());
    if (scrollY > this._top) scrollTo({ top: Math.max(0, this._top - this._headPx) });
    this.render();
  }

  // -- what is shown

  _measure() {
    const style = getComputedStyle(this.element);
    const height = parseFloat(style.getPropertyValue("--row")) || 36;
    this._top = this.body.getBoundingClientRect().top + scrollY;
    this._headPx = this._head.offsetHeight + (parseFloat(style.getPropertyValue("--sticky")) || 0);
    this._screen = innerHeight;
    if (height !== this._height) {
      this._height = height;
      this.body.style.height = `${Math.min(MAX_PX, this.ids.length * height)}px`;
      for (const row of this._shown.values()) row.unplace();
    }
    this.render();
  }

  _askForFrame() {
    this._frame ||= requestAnimationFrame(() => {
      this._frame = 0;
      this.render();
    });
  }

  /** Show what the board says, at the place where the page stands. */
  render() {
    if (!this._height || document.hidden) return;
    const offset = scrollY - this._top;
    this._order();
    const nowMs = this._context.now(), { ids, _board: board } = this;
    const first = Math.max(0, Math.floor(offset / this._height) - OVERSCAN);
    const last = Math.min(ids.length, Math.ceil((offset + this._screen) / this._height) + OVERSCAN);
    const wanted = new Set();
    for (let at = first; at < last; at++) wanted.add(ids[at]);
    const focus = this._hasFocus ? document.activeElement : null;
    const focused = focus?.closest?.("[data-id]")?.dataset.id;
    for (const [id, row] of this._shown) {
      if (wanted.has(id) || id === focused) continue;
      this._shown.delete(id);
      this._spare.push(row);
    }
    const spare = new Set(this._spare.map(({ element }) => element));
    const skip = (element) => {
      while (spare.has(element)) element = element.nextElementSibling;
      return element;
    };
    let next = skip(this.body.firstElementChild), added = false;
    for (let at = first; at < last; at++) {
      const id = ids[at];
      let row = this._shown.get(id);
      if (row === undefined) {
        row = this._spare.pop() ?? new Row(this._context);
        spare.delete(row.element);
        this._shown.set(id, row);
        added = true;
      }
      row.move(at, this._height);
      row.fill(id, board.job(id), board.order.worker(id) ?? board.job(id), board.kind(id), board.order.depth(id), this._pins.has(id), nowMs, this._why.get(id));
      row.select(this._selection.has(id));
      // Readers hear the rows in the order of the elements.
      if (row.element === next) next = skip(next.nextElementSibling);
      else this.body.insertBefore(row.element, next);
    }
    if (focus !== null && document.activeElement !== focus) focus.focus({ preventScroll: true });
    while (this._spare.length) this._spare.pop().element.remove();
    if (added || !this._shown.has(this._current)) this._setCurrent();
  }

  /** What the time changes in the rows that are shown. */
  tick(nowMs) {
    for (const row of this._shown.values()) row.tick(nowMs);
  }

  /** Keep why jobs are gone, for rows that are held. */
  noteGone({ gone, why }) {
    if (this.isHeld) for (const id of gone) this._why.set(id, why && Object.hasOwn(why, id) ? why[id] : "removed");
  }

  /** Another connection: its jobs come anew. */
  reset() {
    this._isLoaded = false;
  }

  /** Another view: its own order, from the top. */
  setView({ sort }) {
    const column = (sort ?? "").replace(/^-/, ""), isDown = sort?.startsWith("-");
    for (const [key, { cell, button, sort: first }] of this._headers) {
      const isSorted = key === column;
      if (isSorted) cell.setAttribute("aria-sort", isDown ? "descending" : "ascending");
      else cell.removeAttribute("aria-sort");
      const opposite = isDown ? key : `-${key}`;
      button.dataset.sort = !isSorted ? first : sort === first ? opposite : "";
    }
  }

  _sort(button) {
    if (!button) return;
    const sort = button.dataset.sort || null;
    this._context.navigate({ ...this._context.view, sort });
  }

  // -- pointer and keys

  _hint(target) {
    const cell = target.closest?.("[role=gridcell]"), row = this._rowOf(target);
    if (!cell || !row) return;
    const text = row.hint(cell);
    if (cell.title !== text) cell.title = text;
  }

  _rowOf(target) {
    return this._shown.get(target.closest?.("[data-id]")?.dataset.id);
  }

  _click(event) {
    const row = this._rowOf(event.target);
    if (!row) return;
    if (event.target === row.pin) this.pin(row.id);
    else if (event.target.closest(".select")) this._selection.toggle(row.id);
    else if (!event.target.closest("a, button") && getSelection().isCollapsed) this.open(row.id);
  }

  open(id) {
    this._context.navigate(hrefOf({ ...this._context.view, job: id }, this._context.settings.base));
  }

  pin(id) {
    this._pins.toggle(id);
    this._board.setView(this._context.view);
    this._take(this._board.rows());
    this.render();
  }

  _focus(target) {
    this._hasFocus = true;
    this._signAt = performance.now();
    const id = target.closest("[data-id]")?.dataset.id;
    if (id !== undefined) this._setCurrent(id);
  }

  /** One link of the table is reached by Tab; the keys go from row to row. */
  _setCurrent(id = this._current) {
    const before = this._shown.get(this._marked);
    const row = this._shown.get(id) ?? this._shown.get(this.ids[this._firstVisible()]);
    if (this._shown.has(id)) this._current = id;
    if (row === before && row?.link.tabIndex === 0) return;
    for (const other of this._shown.values()) {
      const tabIndex = other === row ? 0 : -1;
      if (other.link.tabIndex !== tabIndex) other.link.tabIndex = tabIndex;
    }
    this._marked = row?.id;
  }

  _firstVisible() {
    const at = Math.ceil((scrollY + this._headPx - this._top) / this._height);
    return Math.min(Math.max(0, at), Math.max(0, this.ids.length - 1));
  }

  get hasFocus() {
    return this._hasFocus;
  }

  get current() {
    return this._current;
  }

  _indexOf(id) {
    this._index ??= new Map(this.ids.map((one, at) => [one, at]));
    return this._index.get(id);
  }

  /** Go so many rows on; the first step is to the first row on the screen. */
  step(by) {
    const at = this._indexOf(this._current);
    if (at === undefined || (!this._hasFocus && !this._isOnScreen(at))) return this.goTo(this._firstVisible());
    this.goTo(at + by);
  }

  /** The rows that the screen shows. */
  get page() {
    return Math.max(1, Math.floor((this._screen - this._headPx) / this._height) - 1);
  }

  _isOnScreen(at) {
    const top = this._top + at * this._height - scrollY;
    return top >= this._headPx && top + this._height <= this._screen;
  }

  /** Show the row of this number, and give it the focus. */
  goTo(index) {
    if (!this.ids.length) return;
    const at = Math.min(Math.max(0, index), this.ids.length - 1), id = this.ids[at];
    const top = this._top + at * this._height;
    if (top - this._headPx < scrollY) scrollTo({ top: at === 0 ? 0 : top - this._headPx });
    else if (top + this._height > scrollY + this._screen) scrollTo({ top: top + this._height - this._screen + 8 });
    this._signAt = performance.now();
    this.render();
    this._current = id;
    this._shown.get(id)?.link.focus({ preventScroll: true });
  }

  /** Give the focus to a row, if it is here: after the way back from its page. */
  focus(id) {
    const at = this._indexOf(id);
    if (at !== undefined) this.goTo(at);
  }
}
