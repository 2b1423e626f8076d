// A list of names and values, of which only what has changed is touched: selections and focus stay.

import { copyButton } from "./copy.js";
import { make, Text } from "./dom.js";

const LONG = 200; // characters, above which a value may scroll

/**
 * `show(rows)` takes [[name, value]]. A value that is null is not shown; else it is {text} with
 * {href, note, more, exact, mono, copy}, or {links, note}, or {lines}.
 */
export class Facts {
  constructor(title) {
    this._list = make("dl");
    this._rows = new Map();
    this.element = make("section", { class: "card facts" }, make("h3", {}, title), this._list);
  }

  show(rows) {
    const shown = rows.filter(([, value]) => value !== null);
    const names = new Set(shown.map(([name]) => name));
    for (const [name, row] of this._rows) {
      if (names.has(name)) continue;
      row.element.remove();
      this._rows.delete(name);
    }
    let after = null;
    for (const [name, value] of shown) {
      let row = this._rows.get(name);
      if (!row) {
        row = new Fact(name);
        this._rows.set(name, row);
      }
      const place = after ? after.nextSibling : this._list.firstChild;
      if (place !== row.element) this._list.insertBefore(row.element, place);
      row.set(value);
      after = row.element;
    }
    this.element.hidden = !shown.length;
  }
}

class Fact {
  constructor(name) {
    this._value = make("dd");
    this.element = make("div", {}, make("dt", {}, name), this._value);
    this._form = "";
  }

  set(value) {
    const { text, exact, note = "", ...rest } = value;
    const form = JSON.stringify([note, rest, text !== undefined]);
    if (form !== this._form) {
      this._form = form;
      this._build(value);
    }
    this._text?.set(text);
    if (value.copy) this._value.firstElementChild.tabIndex = text.length > LONG ? 0 : -1; // it scrolls
    if (exact !== undefined) this._value.title = exact;
  }

  _build({ text, href, note, more, mono, copy, links, lines }) {
    this._text = null;
    const parts = [];
    if (links) {
      parts.push(make("ul", {}, ...links.map(({ text, href, kind }) => (
        make("li", kind ? { "data-kind": kind } : {}, make("a", { href }, text),
          ...(kind ? [make("span", { class: "for-readers" }, `, ${kind}`)] : []))))));
    } else if (lines) {
      parts.push(make("ul", {}, ...lines.map((line) => make("li", {}, line))));
    } else {
      const shown = make(href ? "a" : mono ? "code" : "span", href ? { href } : {});
      this._text = new Text(shown);
      parts.push(shown);
    }
    if (note) parts.push(make("span", { class: "fact-note" }, note));
    if (more) parts.push(make("a", { href: more.href, target: "_blank", rel: "noopener noreferrer", class: "fact-note" }, more.text));
    if (copy) parts.push(copyButton(() => this._value.firstElementChild.textContent));
    this._value.replaceChildren(...parts);
    this._value.classList.toggle("with-copy", Boolean(copy));
  }
}
