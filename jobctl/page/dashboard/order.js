// The rows of the table, in order: families of jobs, each at the place of its first member. A change
// costs what it touches. Pure: see cli/job_table/order.py and cli/families.py for the same rules.

import { isCancelled } from "../client.js";
import { isActive } from "./model.js";

const MAX_DEPTH = 8;

/** Compare two texts by their code units. */
export function compareText(one, other) {
  return one < other ? -1 : one > other ? 1 : 0;
}

/** Jobs sorted by their keys, each child below its parent. A key names its job in `id`. */
export class Order {
  constructor(compare) {
    this._compare = compare;
    this._clear();
  }

  _clear() {
    this._jobs = new Map();
    this._keys = new Map();
    this._children = new Map(); // by the parent's id, also of one that is not here
    this._tops = []; // sorted: {key, id} of the first of each family
    this._topKeys = new Map();
    this._families = new Map(); // the rows of families that have several members
    this._stale = new Set(); // families whose rows may have changed
    this._places = new Map(); // {depth, worker} of the members of families
    this._hasLoop = false;
    this._ids = null;
  }

  get size() {
    return this._jobs.size;
  }

  has(id) {
    return this._jobs.has(id);
  }

  /** The ids of all jobs, in no order. */
  members() {
    return this._jobs.keys();
  }

  /** How deep the row stands below others. */
  depth(id) {
    return this._places.get(id)?.depth ?? 0;
  }

  /** Whether the row is the first of a family of several jobs. */
  isFamily(id) {
    return this._families.has(id);
  }

  /** The job whose stage the row of `id` shows: mostly itself. */
  worker(id) {
    return this._places.get(id)?.worker ?? this._jobs.get(id);
  }

  /** Hold these jobs and no others: pairs of a job and its key. */
  replace(entries, compare = this._compare) {
    this._clear();
    this._compare = compare;
    for (const [job, key] of entries) this._keep(job, key);
    this._arrange();
  }

  /** Add the job, or replace it. */
  put(job, key) {
    const { id } = job, before = this._jobs.get(id);
    if (this._hasLoop || (before && parentOf(before) !== parentOf(job))) {
      if (before) this._forget(before);
      this._keep(job, key);
      this._arrangeLater();
      return;
    }
    if (before === undefined) return this._add(job, key);
    const old = this._keys.get(id), moved = this._compare(old, key) !== 0;
    this._jobs.set(id, job);
    this._keys.set(id, key);
    const alone = parentOf(job) === null && !this._children.has(id);
    if (alone && !moved) return;
    const top = alone ? id : this._top(id);
    if (!alone) this._stale.add(top);
    if (moved) this._place(top);
  }

  remove(id) {
    const job = this._jobs.get(id);
    if (job === undefined) return;
    const top = this._hasLoop ? id : this._top(id);
    this._forget(job);
    if (this._hasLoop) return this._arrangeLater();
    this._dropFamily(top);
    if (top === id) this._dropTop(id);
    else this._touch(top);
    for (const child of this._children.get(id) ?? []) this._touch(child);
  }

  /** The ids of all rows, in order; the same array until something moves. */
  ids() {
    if (this._hasLoop && this._ids === null) this._arrange();
    for (const top of this._stale) if (this._topKeys.has(top)) this._arrangeFamily(top);
    this._stale.clear();
    if (this._ids === null) {
      const ids = [];
      if (this._families.size === 0) for (const { id } of this._tops) ids.push(id);
      else {
        for (const { id } of this._tops) {
          const family = this._families.get(id);
          if (family === undefined) ids.push(id);
          else ids.push(...family);
        }
      }
      this._ids = ids;
    }
    return this._ids;
  }

  // -- inner

  _keep(job, key) {
    this._jobs.set(job.id, job);
    this._keys.set(job.id, key);
    const parent = parentOf(job);
    if (parent === null) return;
    if (this._children.has(parent)) this._children.get(parent).add(job.id);
    else this._children.set(parent, new Set([job.id]));
  }

  _forget(job) {
    this._jobs.delete(job.id);
    this._keys.delete(job.id);
    this._places.delete(job.id);
    const siblings = this._children.get(parentOf(job));
    siblings?.delete(job.id);
    if (siblings?.size === 0) this._children.delete(parentOf(job));
  }

  _add(job, key) {
    this._keep(job, key);
    const top = this._top(job.id);
    if (this._hasLoop) return this._arrangeLater();
    for (const child of this._children.get(job.id) ?? []) this._dropTop(child);
    this._touch(top);
  }

  _touch(top) {
    this._stale.add(top);
    this._place(top);
  }

  /** While jobs are each other's parents, and after a job got another parent. */
  _arrangeLater() {
    if (this._hasLoop) this._ids = null;
    else this._arrange();
  }

  /** Find all families anew. */
  _arrange() {
    this._hasLoop = false;
    this._families.clear();
    this._places.clear();
    this._stale.clear();
    this._topKeys.clear();
    const tops = new Set();
    for (const id of this._jobs.keys()) tops.add(this._top(id));
    this._tops = [...tops].map((id) => ({ key: this._familyKey(id), id }));
    this._tops.sort((one, other) => this._compare(one.key, other.key));
    for (const { key, id } of this._tops) {
      this._topKeys.set(id, key);
      if (this._children.has(id)) this._stale.add(id);
    }
    this._ids = null;
    if (this._hasLoop) {
      for (const top of this._stale) this._arrangeFamily(top);
      this._stale.clear();
    }
  }

  /** The first of the job's family; the job itself if there is a loop above it. */
  _top(id) {
    let at = id, parent = parentOf(this._jobs.get(id));
    if (parent === null || !this._jobs.has(parent)) return id;
    const seen = new Set([id]);
    while (parent !== null && this._jobs.has(parent)) {
      if (seen.has(parent)) {
        this._hasLoop = true;
        return id;
      }
      seen.add(parent);
      at = parent;
      parent = parentOf(this._jobs.get(at));
    }
    return at;
  }

  _members(top) {
    const parent = parentOf(this._jobs.get(top));
    if (!this._children.has(top) || (parent !== null && this._jobs.has(parent))) return [top];
    const members = [top];
    for (const id of members) members.push(...(this._children.get(id) ?? [])); // which grows
    return members;
  }

  _familyKey(top) {
    let first = null;
    for (const id of this._members(top)) {
      const key = this._keys.get(id);
      if (first === null || this._compare(key, first) < 0) first = key;
    }
    return first;
  }

  /** Put the family where it belongs now. */
  _place(top) {
    const key = this._familyKey(top), before = this._topKeys.get(top);
    if (before !== undefined) {
      if (before === key || this._compare(before, key) === 0) return;
      this._tops.splice(this._find(before), 1);
    }
    this._tops.splice(this._find(key), 0, { key, id: top });
    this._topKeys.set(top, key);
    this._ids = null;
  }

  /** The first place whose key is not before this one. */
  _find(key) {
    let low = 0, high = this._tops.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this._compare(this._tops[middle].key, key) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  _dropTop(id) {
    const key = this._topKeys.get(id);
    if (key !== undefined) {
      this._topKeys.delete(id);
      this._tops.splice(this._find(key), 1);
      this._ids = null;
    }
    this._dropFamily(id);
  }

  _dropFamily(top) {
    for (const id of this._families.get(top) ?? []) this._places.delete(id);
    if (this._families.delete(top)) this._ids = null;
  }

  _arrangeFamily(top) {
    const members = this._members(top), before = this._families.get(top);
    if (members.length === 1) return this._dropFamily(top);
    for (const id of before ?? []) this._places.delete(id);
    members.sort((one, other) => this._compare(this._keys.get(one), this._keys.get(other)));
    const rows = familyRows(top, members.map((id) => this._jobs.get(id)));
    for (const { id, depth, worker } of rows) this._places.set(id, { depth, worker });
    const ids = rows.map(({ id }) => id);
    this._families.set(top, ids);
    if (before?.length !== ids.length || ids.some((id, at) => id !== before[at])) this._ids = null;
  }
}

function parentOf(job) {
  return typeof job.parent === "string" && job.parent !== job.id ? job.parent : null;
}

/** The rows of a family: {id, depth, worker}. A run with one child that tells the same is one row. */
function familyRows(top, jobs) {
  const children = new Map();
  let first;
  for (const job of jobs) {
    if (job.id === top) first = job;
    else if (!children.get(job.parent)?.push(job)) children.set(job.parent, [job]);
  }
  const rows = [], waiting = [{ job: first, depth: 0 }];
  while (waiting.length) { // not by recursion: jobs may stand below each other without end
    const { job, depth } = waiting.pop();
    let below = children.get(job.id) ?? [], worker = job;
    while (below.length === 1 && tellsTheSame(job, below[0])) {
      const [child] = below;
      if (isActive(job) && isActive(child) && child.stage !== "pending") worker = child;
      below = children.get(child.id) ?? [];
    }
    rows.push({ id: job.id, depth, worker });
    for (const child of below.toReversed()) waiting.push({ job: child, depth: Math.min(depth + 1, MAX_DEPTH) });
  }
  return rows;
}

function tellsTheSame(run, child) {
  if (isActive(run)) return isActive(child) || child.stage === "completed";
  return child.stage === run.stage && isCancelled(child) === isCancelled(run);
}
