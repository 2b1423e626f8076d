// The jobs that a reader has pinned to the top: in this browser only.

const KEY = "jobctl.pins", MAX_PINS = 100;

export class Pins {
  constructor(base) {
    this._key = `${KEY}:${base}`;
    this._ids = new Set();
    try {
      const ids = JSON.parse(localStorage.getItem(this._key) ?? "[]");
      if (Array.isArray(ids)) for (const id of ids) if (typeof id === "string") this._ids.add(id);
    } catch {
      // nothing is kept: the browser does not allow it, or somebody else has written there
    }
  }

  has(id) {
    return this._ids.has(id);
  }

  toggle(id) {
    if (!this._ids.delete(id)) this._ids.add(id);
    this._ids = new Set([...this._ids].slice(-MAX_PINS));
    try {
      localStorage.setItem(this._key, JSON.stringify([...this._ids]));
    } catch {
      // they are kept as long as the page
    }
  }
}
