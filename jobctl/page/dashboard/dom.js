// Elements and texts. Whatever a job says is put in as text, never as markup.

/** A new element: `make("div", {class: "x", role: "row"}, child, "text")`. */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

/** A new element of SVG. */
export function makeSvg(tag, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** The one text of an element, which costs nothing while it stays the same. */
export class Text {
  constructor(element) {
    this._node = element.appendChild(document.createTextNode(""));
    this._text = "";
  }

  set(text) {
    if (text === this._text) return;
    this._text = text;
    this._node.data = text;
  }
}

/** Set an attribute only if it changes. */
export function setAttribute(element, name, value) {
  if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}
