// The jobs whose end somebody wants to be told of: kept over reloads, in this browser only.

const MAX_TELLS = 50, MAX_AGE_MS = 7 * 86400000;

export class Tells {
  constructor(base, storage = storageOf(), now = () => Date.now()) {
    this._key = `jobctl.tell:${base}`;
    this._storage = storage;
    this._now = now;
    this._ids = new Map(); // id → since when
    this._load();
  }

  get size() {
    return this._ids.size;
  }

  has(id) {
    return this._ids.has(id);
  }

  ids() {
    return [...this._ids.keys()];
  }

  add(id) {
    this._load();
    this._ids.set(id, this._now());
    this._save();
  }

  remove(id) {
    this._load();
    this._ids.delete(id);
    this._save();
  }

  /** Remove it; whether it was there, and no other tab has removed it. */
  take(id) {
    const was = this._ids.has(id);
    this._load();
    const is = this._storage === null ? was : this._ids.has(id);
    this._ids.delete(id);
    this._save();
    return is;
  }

  _load() {
    if (this._storage === null) return;
    try {
      const held = JSON.parse(this._storage.getItem(this._key) ?? "[]");
      if (!Array.isArray(held)) throw new TypeError("somebody else has written there");
      const valid = held.filter((entry) => typeof entry?.[0] === "string" && this._now() - entry[1] < MAX_AGE_MS);
      this._ids = new Map(valid.slice(-MAX_TELLS));
    } catch {
      this._ids = new Map();
    }
  }

  _save() {
    this._ids = new Map([...this._ids].slice(-MAX_TELLS));
    try {
      this._storage?.setItem(this._key, JSON.stringify([...this._ids]));
    } catch {
      this._storage = null; // they are kept as long as the page
    }
  }
}

function storageOf() {
  try {
    return globalThis.localStorage ?? null;
  } catch {
    return null; // the browser does not allow it
  }
}
