// What ended within the last hour: how many, and how long they took. Pure.

const HOUR_MS = 3600000;
/** The hour in parts, oldest first. */
export const PARTS = 30;
const PART_MS = HOUR_MS / PARTS;

export class LastHour {
  constructor() {
    this._parts = new Map(); // the number of the part → id → {kind, took}
    this._partOf = new Map(); // id → the number of the part
  }

  /** Note how a job ended; `kind` is completed, failed or cancelled. */
  put(id, kind, endedMs, tookMs, nowMs) {
    if (this._partOf.has(id)) this.remove(id);
    if (!(endedMs > nowMs - HOUR_MS)) return;
    const number = Math.floor(Math.min(endedMs, nowMs) / PART_MS);
    if (!this._parts.has(number)) this._parts.set(number, new Map());
    this._parts.get(number).set(id, { kind, took: tookMs });
    this._partOf.set(id, number);
  }

  remove(id) {
    const number = this._partOf.get(id);
    if (number === undefined) return;
    this._partOf.delete(id);
    const part = this._parts.get(number);
    part.delete(id);
    if (part.size === 0) this._parts.delete(number);
  }

  /** {parts: [{completed, failed, cancelled, median}], completed, failed, cancelled, median}. */
  summary(nowMs) {
    const last = Math.floor(nowMs / PART_MS), first = last - PARTS + 1;
    for (const [number, part] of this._parts) {
      if (number >= first) continue;
      for (const id of part.keys()) this._partOf.delete(id);
      this._parts.delete(number);
    }
    const total = { completed: 0, failed: 0, cancelled: 0 }, parts = [], all = [];
    for (let number = first; number <= last; number++) {
      const counts = { completed: 0, failed: 0, cancelled: 0 }, took = [];
      for (const one of this._parts.get(number)?.values() ?? []) {
        counts[one.kind] += 1;
        total[one.kind] += 1;
        if (one.kind === "completed" && Number.isFinite(one.took)) took.push(one.took);
      }
      for (const ms of took) all.push(ms);
      parts.push({ ...counts, median: median(took) });
    }
    return { ...total, parts, median: median(all) };
  }
}

function median(values) {
  if (!values.length) return null;
  values.sort((one, other) => one - other);
  return values[values.length >> 1];
}
