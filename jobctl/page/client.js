// The client of a jobctl hub, for any page or program: a copy of the hub's jobs that stays up to
// date over one WebSocket, and that goes on where it was after every cut.
//
//   import { connect } from "http://127.0.0.1:8765/client.js";
//   const jobs = connect({ url: "http://127.0.0.1:8765", onchange: () => draw(jobs.all()) });
//   await jobs.until(id, "completed");
//
// It needs nothing else, and does nothing where there is no window (when a server renders a page).

const SUBPROTOCOL = "jobctl.v1";
const TOKEN_MS = 60000; // until the token is there: somebody may have to sign in
const CONNECT_MS = 5000; // until the socket is open
const BASE_MS = 500, CAP_MS = 15000, MIN_MS = 50; // backoff, with full jitter at the cap too
const MAX_HINT_MS = 30000; // of "come back in …"
const WAKE_MS = 250; // jitter of all who wake at once, as when a network is back
const PULSE_MS = 5000, QUIET_MS = 12000; // how often to look, and when to ask a silent hub: left after 20 s
const PROBE_MS = 2000; // for the answer
const LATE_MS = 1000; // a timer that is later than this says nothing about the hub
const CLOCK_MS = 60000; // between two questions for the hub's time
const ACK_MS = 1000;
const REST_MS = 300000; // hidden for this long
// A hub ends a connection with over 1,000 messages in ten seconds.
const MAX_UNANSWERED = 16, ACTS_AT_ONCE = 100, ACTS_PER_S = 80;
const MAX_ACT = 20000; // characters, of at most three bytes; a hub takes 64 KiB
const VERIFY_MS = 30000; // between two comparisons with the hub's digest
const SLICE_MS = 4; // of hashing at once
const MAX_HISTORY = 64; // entries of a history that may have been cut
const FIRST_MS = Date.UTC(1971), LAST_MS = Date.UTC(9999); // other times are placeholders
const MAX_AHEAD_MS = 3600000; // clocks of machines may differ by this much

const TERMINAL = new Set(["completed", "failed"]);
const CANCELLED = "Cancelled by user"; // the error of a cancelled job, whose stage is "failed"

/**
 * The state machine: for each state, what an event leads to, and what is done on the way.
 * An event that a state does not name changes nothing. `rebasing` is reserved.
 *
 * start    connect() or reconnect()            message  a valid message from the hub
 * stop     close()                             lost     the connection ended, or cannot be trusted
 * due      the time of the next try has come   refused  for good: trying again cannot help
 * wake     the page or the network is back     hide     the page has been hidden for five minutes
 */
export const TRANSITIONS = {
  idle: { start: ["connecting", "dial"] },
  connecting: {
    message: ["open", "welcome"], lost: ["closed", "wait"], refused: ["error", "hangUp"],
    stop: ["idle", "hangUp"], hide: ["resting", "hangUp"],
  },
  open: {
    lost: ["closed", "wait"], refused: ["error", "hangUp"], wake: ["open", "probe"],
    stop: ["idle", "hangUp"], hide: ["resting", "hangUp"],
  },
  closed: {
    start: ["connecting", "dial"], due: ["connecting", "dial"], wake: ["closed", "waitLess"],
    stop: ["idle", "hangUp"], hide: ["resting", "hangUp"],
  },
  resting: {
    start: ["connecting", "dial"], wake: ["closed", "waitLess"], stop: ["idle", "hangUp"],
  },
  error: { start: ["connecting", "dial"], stop: ["idle", "hangUp"] },
  rebasing: {},
};

/** Connect to a hub; returns the jobs. See client.d.ts for the options. */
export function connect(options = {}) {
  const jobs = new Jobs(options);
  if (options.start ?? true) jobs._machine.on("start");
  return jobs;
}

/** A job failed or was cancelled, or is gone, while something else was waited for. */
export class JobError extends Error {
  constructor(message, job) {
    super(message);
    this.name = "JobError";
    this.job = job;
  }
}

/**
 * The hub has not done what was asked. `code` is "forbidden", "conflict" (`job` is the job as it
 * stands), "gone", "invalid", "read-only", "busy" (until `retryAfterS`), "unsupported", or "closed":
 * there is no connection, and if the act was sent, its outcome is not known.
 */
export class ActRefused extends Error {
  constructor(code, message, { hint = null, retryAfter = null } = {}, job = undefined) {
    super(message);
    this.name = "ActRefused";
    Object.assign(this, { code, hint, retryAfterS: retryAfter, job });
  }
}

/** The hub's jobs: a store to read and to subscribe to. */
export class Jobs {
  constructor(options) {
    this._records = new Records();
    this._listeners = new Set();
    this._queues = new Set();
    this._snapshot = this._all = null;
    this._machine = new Machine(options, this._records, (change) => this._changed(change));
    if (options.onchange) this._listeners.add((change) => options.onchange(this, change));
  }

  /** The job, or undefined. A job that changes is another object. */
  get(id) {
    return this._records.held.get(id);
  }

  /** All jobs; the same array until one changes. */
  all() {
    return (this._all ??= Object.freeze([...this._records.held.values()]));
  }

  /** How many there are: {total, active, pending, running, lost, completed, failed, cancelled}. */
  get counts() {
    return this._records.countsNow();
  }

  /** {state, detail, synced, retryAt, since, cursor, diverged, needsToken, can}; a new object for each change. */
  get status() {
    return this._machine.status;
  }

  /** What this session may do, such as ["view", "details", "operate"]; [] until the hub has said it. */
  get can() {
    return this._machine.status.can;
  }

  /** The present time by the hub's clock, in milliseconds: count ages from it. */
  now() {
    return this._machine.clock.now() + this._machine.aheadMs;
  }

  /** Call `listener(change)` after each change; returns a function that ends it. */
  subscribe = (listener) => {
    const own = (change) => listener(change);
    this._listeners.add(own);
    return () => this._listeners.delete(own);
  };

  /** {jobs, counts, status}: the same object until something changes. */
  getSnapshot = () =>
    (this._snapshot ??= Object.freeze({ jobs: this.all(), counts: this.counts, status: this.status }));

  /** What a server renders: nothing yet. */
  getServerSnapshot = () => EMPTY;

  /**
   * Wait until the job is "completed", "terminal", "gone", or in a stage. Resolves with the job.
   * Rejects with `JobError` as soon as that cannot come any more.
   */
  until(id, what = "terminal", { signal } = {}) {
    return new Promise((resolve, reject) => {
      const look = (change) => {
        const said = this._verdict(id, what, change) ?? this._refusal(id, change);
        if (said === null) return false;
        end();
        if (said instanceof Error) reject(said);
        else resolve(said.job);
        return true;
      };
      const stop = this.subscribe(look);
      const abort = () => {
        end();
        reject(signal.reason);
      };
      const end = () => {
        stop();
        signal?.removeEventListener("abort", abort);
      };
      if (signal?.aborted) return abort();
      signal?.addEventListener("abort", abort);
      look(null);
    });
  }

  _verdict(id, what, change) {
    const job = this.get(id);
    if (job === undefined) {
      if (!this.status.synced) return null;
      if (what === "gone") return {};
      const left = ownValue(change?.why, id) === "filtered";
      return new JobError(`job ${id} ${left ? "left the filter" : "is gone"}`);
    }
    const { active, cancelled } = job.derived;
    const entered = what === job.stage || hasEntered(job, what);
    if (what !== "gone" && entered) return { job };
    if (active || what === "gone") return null;
    if (what === "terminal") return { job };
    const how = cancelled ? "was cancelled" : job.stage === "failed" ? `failed: ${job.error}` : "completed";
    return new JobError(`job ${id} ${how}`, job);
  }

  /** Why nothing more comes to wait for, or null. */
  _refusal(id, change) {
    if (this.status.state === "error") return new JobError(this.status.detail, this.get(id));
    const isClosed = change?.status?.state === "idle";
    return isClosed ? new JobError("the connection was closed", this.get(id)) : null;
  }

  /**
   * The changes from now until close(), merged while you are busy: {jobs, added, gone, why, reset,
   * status}. End one that you no longer read with return(), as leaving a `for await` loop does.
   */
  [Symbol.asyncIterator]() {
    const queue = new Merged();
    this._queues.add(queue); // here, since a generator would begin with the first next()
    const changes = changesOf(queue);
    return {
      next: () => changes.next(),
      return: (value) => {
        this._queues.delete(queue);
        queue.end();
        return changes.return(value);
      },
      [Symbol.asyncIterator]() {
        return this;
      },
    };
  }

  // Acts: each resolves once the jobs shown include it, with the job, or with undefined if the job is
  // no longer shown. The shown job changes with the hub's next delta, and no sooner. Each rejects
  // with `ActRefused`. After a cut the same request is sent again, and the hub does it once.

  /** End a job: one at work is told to, and ends with a later change. `reason` is shown with it. */
  cancel(id, { reason, ...options } = {}) {
    return this._act("jobs:cancel", id, options, { reason });
  }

  /** Begin another attempt of a job that failed or was cancelled. */
  retry(id, options = {}) {
    return this._act("jobs:retry", id, options);
  }

  /** Take a failed or lost job as known, with a note; with `undo: true` no longer. */
  acknowledge(id, { note, undo, ...options } = {}) {
    return this._act("jobs:acknowledge", id, options, { note, undo });
  }

  /** Remove a job that has ended. */
  remove(id, options = {}) {
    return this._act("jobs:remove", id, options);
  }

  async _act(type, id, { attempt = this._attemptOf(id), signal }, more = {}) {
    if (attempt === undefined) throw new ActRefused("gone", `job ${id} is not shown`);
    await this._machine.act({ type, req: newRequest(), id, attempt, ...more }, signal);
    return this.get(id);
  }

  /** The attempt that is shown, which is all that an act may change; undefined without a job. */
  _attemptOf(id) {
    const job = this.get(id);
    return job && factOf(job, "attempt", () => job.retryCount ?? 0);
  }

  /** Try again at once, also after a refusal. */
  reconnect() {
    this._machine.retryNow();
  }

  /** End the connection. The jobs stay as they are. */
  close() {
    this._machine.on("stop");
  }

  _changed(change) {
    this._snapshot = null;
    if (change.jobs.length || change.gone.length) this._all = null;
    for (const listener of [...this._listeners]) {
      try {
        if (this._listeners.has(listener)) listener(change);
      } catch (error) {
        reportError(error); // one listener's fault is not the others'
      }
    }
    for (const queue of this._queues) queue.add(change);
    if (change.status?.state !== "idle") return;
    for (const queue of this._queues) queue.end();
    this._queues.clear();
  }
}

const NO_ITEMS = Object.freeze([]);
const NOTHING = { jobs: NO_ITEMS, added: NO_ITEMS, gone: NO_ITEMS, why: undefined, reset: false, status: null };
const reportError = globalThis.reportError ?? ((error) => console.error(error));

/** Changes that a slow reader has not taken yet, as one: the newest version of each job. */
class Merged {
  constructor() {
    this._jobs = new Map();
    this._added = new Set();
    this._gone = new Map();
    this._reset = false;
    this._status = null;
    this._wanted = null;
    this._ended = false;
  }

  add({ jobs, added, gone, why, reset, status }) {
    // A job that the reader knows, and that went and came back meanwhile, is not new.
    for (const id of added) if (!this._gone.has(id)) this._added.add(id);
    for (const id of gone) {
      this._jobs.delete(id);
      this._gone.set(id, ownValue(why, id));
    }
    for (const job of jobs) {
      this._jobs.set(job.id, job);
      this._gone.delete(job.id);
    }
    this._reset ||= reset;
    this._status = status ?? this._status;
    this._wanted?.(this._take());
    this._wanted = null;
  }

  /** There will be no more. */
  end() {
    this._ended = true;
    this._wanted?.(null);
    this._wanted = null;
  }

  /** The next change, or null after the last. */
  next() {
    if (this._jobs.size || this._gone.size || this._reset || this._status) {
      return Promise.resolve(this._take());
    }
    if (this._ended) return Promise.resolve(null);
    return new Promise((resolve) => (this._wanted = resolve));
  }

  _take() {
    const change = {
      jobs: [...this._jobs.values()], added: [...this._added].filter((id) => this._jobs.has(id)),
      gone: [...this._gone.keys()], why: Object.fromEntries([...this._gone].filter(([, why]) => why)), reset: this._reset, status: this._status,
    };
    this._jobs.clear();
    this._added.clear();
    this._gone.clear();
    this._reset = false;
    this._status = null;
    return change;
  }
}

async function* changesOf(queue) {
  for (let change; (change = await queue.next()); ) yield change;
}

// -- the jobs -----------------------------------------------------------------------------------

const NONE = { total: 0, active: 0, pending: 0, running: 0, lost: 0, completed: 0, failed: 0, cancelled: 0 };

/** The set of jobs at one cursor. A job is frozen, and replaced whole when it changes. */
class Records {
  constructor() {
    this.held = new Map();
    this.cursor = this.epoch = null; // the cursor as the hub printed it
    this.revision = this.applied = 0;
    this.dead = new Set();
    this.digest = new Digest();
    this._next = null; // what a reset has brought so far, while the old jobs are shown
    this._tally = { ...NONE };
    this._counts = null;
  }

  /** Whether the delta continues from here, or starts anew. */
  follows({ since, epoch }) {
    return since === 0 || (epoch === this.epoch && since === this.revision);
  }

  /** Apply a delta that follows; returns what has changed for a reader. */
  apply(delta) {
    const { since, jobs, gone, odd, why } = delta;
    const reset = since === 0;
    this.applied += 1;
    if (reset) {
      this.digest.clear();
      this._next = this.held.size ? new Map() : null;
    }
    this.epoch = delta.epoch;
    this.revision = delta.through;
    this.cursor = delta.cursor ?? `${delta.epoch}:${delta.through}`;
    const change = { jobs: [], added: [], gone: [], why, reset, status: null };
    const stored = gone.length ? new Set(jobs.map(({ id }) => id)) : null;
    for (const id of gone) {
      if (stored.has(id)) continue; // one that was removed and made again has only changed
      this.digest.remove(id);
      if (this._next) this._next.delete(id);
      else if (this._remove(id)) change.gone.push(id);
    }
    for (const job of jobs) {
      this.digest.put(job.id, job.revision);
      freezeInside(job);
      const record = recordOf(job, this.dead, ownValue(odd, job.id), ownValue(delta.derived, job.id));
      if (this._next) this._next.set(job.id, record);
      else this._change(record, change);
    }
    if (this._next && !delta.more) this._replace(change);
    return change;
  }

  /** Take over what a reset has brought; jobs that are as they were keep their identity. */
  _replace(change) {
    const next = this._next;
    this._next = null;
    for (const id of [...this.held.keys()]) {
      if (!next.has(id)) {
        this._remove(id);
        change.gone.push(id);
      }
    }
    for (const [id, record] of next) {
      const old = this.held.get(id);
      const isOther = old?.revision !== record.revision; // mostly, and quicker to tell
      if (isOther || JSON.stringify(old) !== JSON.stringify(record)) {
        this._change(record, change);
      }
    }
  }

  _change(record, change) {
    if (!this.held.has(record.id)) change.added.push(record.id);
    change.jobs.push(this._put(record));
  }

  /** Take the names of dead workers; returns the jobs that are lost now, or no longer. */
  setDead(dead) {
    this.dead = dead;
    const changed = [];
    for (const job of this.held.values()) {
      const record = this._withLost(job);
      if (record !== job) changed.push(this._put(record));
    }
    for (const [id, job] of this._next ?? []) this._next.set(id, this._withLost(job));
    return changed;
  }

  /** The job itself, or another object if it is lost now, or no longer. */
  _withLost(job) {
    if (isLost(job, this.dead) === job.derived.lost) return job;
    return recordOf({ ...job }, this.dead, job.derived, job.derived.facts);
  }

  /** Forget where we are, so that the next connection reads everything. The jobs stay shown. */
  forget() {
    this.cursor = this.epoch = this._next = null;
    this.revision = 0;
  }

  /** Whether the jobs shown include what was done at the revision, as the hub answered. */
  includes({ epoch, revision, heldEpoch }) {
    if (this._next || this.epoch === null) return false; // everything is being read
    if (epoch === storeEpoch(this.epoch)) return this.revision >= revision;
    return this.epoch !== heldEpoch; // the counter was replaced after the answer
  }

  countsNow() {
    return (this._counts ??= Object.freeze({ ...this._tally }));
  }

  _put(record) {
    this._count(this.held.get(record.id), -1);
    this.held.set(record.id, record);
    this._count(record, 1);
    return record;
  }

  _remove(id) {
    this._count(this.held.get(id), -1);
    return this.held.delete(id);
  }

  _count(job, by) {
    if (job === undefined) return;
    this._counts = null;
    const { active, cancelled, lost } = job.derived;
    this._tally.total += by;
    if (active) this._tally.active += by;
    const kind = lost ? "lost" : job.stage === "pending" ? "pending" : active ? "running"
      : cancelled ? "cancelled" : job.stage;
    this._tally[kind] += by;
  }
}

/** Freeze all that the value consists of, but not the value; it may be nested deeply. */
function freezeInside(value) {
  const rest = [value];
  const freeze = (part) => {
    if (typeof part === "object" && part !== null) rest.push(Object.freeze(part));
  };
  while (rest.length) {
    const one = rest.pop();
    if (Array.isArray(one)) for (let place = 0; place < one.length; place++) freeze(one[place]);
    else for (const key in one) freeze(one[key]); // without a list of the values: 10 ms less of 10,000 jobs
  }
}

/** The value of a key that comes from the hub: an id may be "constructor". */
function ownValue(object, key) {
  return object && Object.hasOwn(object, key) ? object[key] : undefined;
}

/** The record of a new job: with what follows from it, and what the hub says beside it. */
function recordOf(job, dead, { remarks = [], missing = [] } = {}, facts) {
  const derived = (job.derived = { active: !TERMINAL.has(job.stage), cancelled: false, lost: false });
  if (remarks.length) derived.remarks = Object.freeze(remarks);
  if (missing.length) derived.missing = Object.freeze(missing);
  if (facts) derived.facts = Object.freeze(facts);
  derived.cancelled = isCancelled(job);
  derived.lost = isLost(job, dead);
  Object.freeze(derived);
  return Object.freeze(job);
}

function isLost(job, dead) {
  if (TERMINAL.has(job.stage) || !dead.size) return false;
  return dead.has(factOf(job, "owner", ownerByRecord));
}

function ownerByRecord(job) {
  return recordedByRecord(job) ? job.owner : null;
}

// -- acts ---------------------------------------------------------------------------------------

/** What was asked of the hub, and is not both answered and shown yet. */
class Acts {
  constructor(records) {
    this._records = records;
    this._asked = new Map(); // request → what was asked
    this._allowed = ACTS_AT_ONCE;
    this._allowedAt = 0;
  }

  get count() {
    return this._asked.size;
  }

  /** Returns a promise that ends with the act. */
  ask(message, signal) {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      const abort = () => this._end(message.req, reject, signal.reason);
      signal?.addEventListener("abort", abort);
      const forget = () => signal?.removeEventListener("abort", abort);
      this._asked.set(message.req, { message, resolve, reject, forget, sent: null, answer: null });
    });
  }

  /**
   * Send what this connection, of which `send` is the function, was not asked yet, in order. Returns
   * in how many milliseconds to go on, or null: with the next answer, if there is more.
   */
  send(send, now) {
    let unanswered = 0;
    for (const one of this._asked.values()) {
      if (one.answer) continue;
      if (one.sent !== send) {
        const waitMs = this._take(now);
        if (waitMs > 0) return waitMs;
        one.sent = send;
        send(one.message);
      }
      unanswered += 1;
      if (unanswered >= MAX_UNANSWERED) break;
    }
    return null;
  }

  /** Count one that is sent now; returns how long it has to wait instead. */
  _take(now) {
    const passedMs = Math.max(0, now - this._allowedAt);
    this._allowed = Math.min(ACTS_AT_ONCE, this._allowed + (passedMs * ACTS_PER_S) / 1000);
    this._allowedAt = now;
    if (this._allowed < 1) return Math.ceil(((1 - this._allowed) * 1000) / ACTS_PER_S);
    this._allowed -= 1;
    return 0;
  }

  /** Let what a request could not bring to the hub be sent again. */
  unsent(req) {
    const one = this._asked.get(req);
    if (one) one.sent = null;
  }

  done({ req, revision, cursor }) {
    const one = this._asked.get(req);
    if (!one) return;
    one.answer = { revision, epoch: storeEpoch(cursor), heldEpoch: this._records.epoch };
    this.settle();
  }

  refused({ req, code, message, job, ...more }) {
    const one = this._asked.get(req);
    if (!one) return;
    if (job) freezeInside(job);
    const stands = job && recordOf(job, this._records.dead);
    this._end(req, one.reject, new ActRefused(code, message ?? code, more, stands));
  }

  /** End those whose outcome is shown. */
  settle() {
    for (const [req, { resolve, answer }] of this._asked) {
      if (answer && this._records.includes(answer)) this._end(req, resolve);
    }
  }

  refuseAll(code, detail) {
    for (const [req, { reject, sent, answer }] of this._asked) {
      if (answer && code === "unsupported") continue; // only the next jobs are waited for
      const known = answer ? "; the act was done" : sent ? "; whether the act was done is not known" : "";
      this._end(req, reject, new ActRefused(code, detail + known));
    }
  }

  _end(req, end, value) {
    this._asked.get(req)?.forget();
    this._asked.delete(req);
    end(value);
  }
}

/** A name for a request that no other client gives. */
function newRequest() {
  return Array.from(crypto.getRandomValues(new Uint32Array(4)), (word) => word.toString(36)).join("-");
}

/** The epoch of a store's counter, from a cursor or a reader's epoch. */
export function storeEpoch(cursor) {
  return cursor.split(":", 1)[0].replace(/-limited$/, "");
}

// -- what a job's record means --------------------------------------------------------------------
//
// Pure functions of a job, by the rules of core/job.py. Times are in milliseconds since 1970, and
// NaN where the file does not tell. Placeholder times, such as year 1 or 1970, do not count.
//
// A job that came with some of its fields only is judged by the facts that the hub sent beside it,
// and where it sent none, by the same rules: see core/projection.py.

/** Whether somebody asked for the job's end: its stage is "failed" then. */
export function isCancelled(job) {
  return factOf(job, "cancelled", cancelledByRecord);
}

/** By whom and why the job was cancelled, null where that is not known; null if it was not. */
export function cancellation(job) {
  if (!isCancelled(job)) return null;
  const said = isTold(job.cancelled) && !movedByOthers(job) ? job.cancelled : {};
  const text = (value) => (typeof value === "string" && value ? value : null);
  return { by: text(said.by), reason: text(said.reason) };
}

/** Whether somebody has acknowledged that this attempt has failed or is lost. */
export function isAcknowledged(job) {
  return factOf(job, "acknowledged", acknowledgedByRecord);
}

/** Whether the job's history is of its present attempt. */
export function isRecordedAttempt(job) {
  return factOf(job, "recorded", recordedByRecord);
}

/**
 * Whether a program that writes no history has moved the job since its last entry. Its progress and
 * message are of an earlier stage then.
 */
export function movedByOthers(job) {
  return factOf(job, "moved", movedByRecord);
}

/** When the job entered its stage. */
export function enteredMs(job) {
  return factOf(job, "enteredMs", enteredByRecord) ?? NaN;
}

/** Whether the job has been in its stage for longer than that: a minute for the built-in types. */
export function isStalled(job, nowMs, afterMs = 60000) {
  const { active, lost } = job.derived;
  if (!active || lost || job.stage === "pending" || afterMs === null) return false;
  return nowMs - enteredMs(job) > afterMs;
}

/** When the job's present attempt began. */
export function beganMs(job) {
  return factOf(job, "beganMs", beganByRecord) ?? NaN;
}

/** When the job ended, by the time `nowMs`, which is returned for an active job. */
export function endedMs(job, nowMs) {
  if (!TERMINAL.has(job.stage)) return nowMs;
  const ends = factOf(job, "endsMs", endsByRecord);
  if (!ends.length) return NaN;
  // A later time comes from a wrong clock.
  const present = Math.max(nowMs, knownMs(job.createdAt) || 0);
  return ends.find((ms) => ms <= present + MAX_AHEAD_MS) ?? present;
}

/**
 * The last stage of the job's work that it was in, for a strip of its stages: for a job that has
 * ended the one before that, or null.
 */
export function lastStage(job) {
  return factOf(job, "lastStage", lastByRecord);
}

/**
 * What the command of a job of `jobctl run` is compared with: its program and its first argument that
 * is no option. Empty for other jobs, and null for a command that may not be seen.
 */
export function programOf(job) {
  return factOf(job, "program", programByRecord);
}

/** What the hub says beside the job, or what follows from its record. */
function factOf(job, key, byRecord) {
  const fact = job.derived?.facts?.[key];
  return fact === undefined ? byRecord(job) : fact;
}

function cancelledByRecord(job) {
  const told = isTold(job.cancelled) && !movedByRecord(job); // other programs keep it when they retry
  return job.stage === "failed" && (told || job.error === CANCELLED);
}

function acknowledgedByRecord(job) {
  const said = job.acknowledged;
  if (!isTold(said) || job.stage === "completed") return false;
  if (Number.isInteger(said.attempt) && said.attempt !== (job.retryCount ?? 0)) return false;
  return !movedByRecord(job);
}

function isTold(said) {
  return said === true || (typeof said === "object" && said !== null && !Array.isArray(said));
}

function recordedByRecord(job) {
  const history = historyOf(job);
  if (!job.retryCount || !history.length) return true;
  let retries = 0;
  for (let place = history.length - 1; place >= 0; place--) {
    const { stage, attempt } = history[place];
    if (Number.isInteger(attempt)) return attempt + retries === job.retryCount;
    if (place && stage === "pending" && TERMINAL.has(history[place - 1].stage)) retries += 1;
  }
  return history.length >= MAX_HISTORY || retries === job.retryCount;
}

function movedByRecord(job) {
  const last = historyOf(job).at(-1);
  if (!last) return false;
  if (last.stage !== job.stage) return true;
  if (recordedByRecord(job)) return false;
  if (job.stage === "pending" || TERMINAL.has(job.stage)) return true;
  return (knownMs(job.stageStartedAt) || 0) > (knownMs(last.at) || 0);
}

function enteredByRecord(job) {
  const entered = firstPossibleMs(job);
  return movedByRecord(job) ? Math.max(entered, movedMs(job)) : entered;
}

function beganByRecord(job) {
  const created = isMissing(job, "createdAt") ? NaN : knownMs(job.createdAt);
  if (!job.retryCount) return created;
  const began = attemptMs(job);
  return began > created ? began : created;
}

function programByRecord({ run }) {
  if (typeof run !== "object" || run === null || Array.isArray(run)) return NO_ITEMS;
  const { argv, cwd } = run, isText = (word) => typeof word === "string";
  if (!Array.isArray(argv) || !argv.length || !argv.every(isText) || !isText(cwd)) return null;
  return [argv[0], argv.slice(1).find((word) => !word.startsWith("-")) ?? ""];
}

function lastByRecord(job) {
  if (!TERMINAL.has(job.stage)) return job.stage;
  const own = Array.isArray(job.stages) ? job.stages : null;
  const isWork = (stage) => own?.includes(stage) ?? (stage !== "pending" && !TERMINAL.has(stage));
  return historyOf(job).findLast(({ stage }) => isWork(stage))?.stage ?? null;
}

/** The time in a record, in milliseconds since 1970; NaN for what is no time, or a placeholder. */
export function knownMs(text) {
  const ms = typeof text === "string" ? Date.parse(text) : NaN;
  return ms >= FIRST_MS && ms < LAST_MS ? ms : NaN;
}

/** Whether the job's file lacks a time, which then is the file's own. */
function isMissing(job, key) {
  return job.derived?.missing?.includes(key) ?? false;
}

function firstPossibleMs(job) {
  const created = knownMs(job.createdAt) || 0;
  const times = [job.stageStartedAt, job.updatedAt, job.createdAt].map(knownMs);
  return times.find((ms) => ms >= created) ?? NaN;
}

/** When another program moved the job to its stage. */
function movedMs(job) {
  const ends = endsByRecord(job), history = historyOf(job), isPending = job.stage === "pending";
  const updated = knownMs(job.updatedAt);
  if (!history.length) return ends[0] ?? (isPending ? updated : firstPossibleMs(job));
  const last = knownMs(history.at(-1).at);
  const times = ends.length ? ends : [isPending ? NaN : knownMs(job.stageStartedAt), updated];
  return times.find((ms) => ms > (last || 0)) ?? last;
}

/** When the attempt began, by the last `pending` of the job's timeline. */
function attemptMs(job) {
  const history = historyOf(job);
  const isRetriedByOthers = history.length ? movedByRecord(job) : job.retryCount > 0;
  if (job.stage === "pending" && isRetriedByOthers) return movedMs(job);
  return knownMs(history[attemptIndex(history)]?.at);
}

/** Where the present attempt begins in a history. */
function attemptIndex(history) {
  return Math.max(0, history.findLastIndex(({ stage }, index) => index > 0 && stage === "pending"));
}

/** The times at which the job may have ended, best first. */
function endsByRecord(job) {
  if (!TERMINAL.has(job.stage)) return [];
  const created = knownMs(job.createdAt), entered = knownMs(job.stageStartedAt);
  let completed = knownMs(job.completedAt), updated = knownMs(job.updatedAt);
  if (job.stage === "failed" && completed < entered) completed = NaN; // of an earlier attempt
  // When the file was written says less than the file itself.
  if (isMissing(job, "updatedAt") && entered) updated = NaN;
  const changed = Math.max(...[updated, entered].filter((ms) => !Number.isNaN(ms)));
  const ends = [completed, changed].filter((ms) => Number.isFinite(ms) && ms >= (created || 0));
  return ends.length || Number.isNaN(created) ? ends : [created];
}

function historyOf(job) {
  return Array.isArray(job.history) ? job.history : [];
}

function hasEntered(job, stage) {
  const history = historyOf(job);
  return history.slice(attemptIndex(history)).some((entry) => entry.stage === stage);
}

// -- the connection -----------------------------------------------------------------------------

const SYSTEM_CLOCK = {
  now: () => Date.now(),
  set: (action, ms) => setTimeout(action, ms),
  clear: (timer) => clearTimeout(timer),
  random: () => Math.random(),
};

/** One connection after the other: states and events as in TRANSITIONS. */
class Machine {
  constructor(options, records, changed) {
    const { url, filter = {}, fields = null, token = null, rest = true, verify = true } = options;
    this._page = options.window ?? (typeof window === "object" ? window : null);
    this._WebSocket = options.WebSocket ?? (this._page && globalThis.WebSocket);
    this._fetch = options.fetch ?? globalThis.fetch?.bind(globalThis);
    this._url = this._WebSocket ? socketUrl(url, this._page?.location) : null;
    this._query = queryOf(filter, fields, verify);
    this._token = token;
    this._rests = rest;
    this._records = records;
    this._acts = new Acts(records);
    this._sendAct = null; // of this connection, once the hub has begun
    this._changed = changed;
    this.clock = options.clock ?? SYSTEM_CLOCK;
    this.aheadMs = 0;
    this._timers = new Map();
    this._tries = 0;
    this._socket = null;
    this._run = 0; // of the connection, so that a late event of an earlier one is ignored
    this._turn = 0; // of the state machine, so that an event within an event is noticed
    this._hintMs = null;
    this._notBefore = 0; // when the hub's "come back in" is over
    this._verifiedAt = -Infinity;
    this._listening = [];
    this.status = Object.freeze({
      state: "idle", detail: "", synced: false, retryAt: null, since: this.clock.now(),
      cursor: null, diverged: 0, needsToken: false, can: NO_ITEMS,
    });
  }

  /** Take an event: change the state, then do what TRANSITIONS says. */
  on(event, detail = "", more = {}) {
    const step = TRANSITIONS[this.status.state][event];
    if (step === undefined || this._url === null) return;
    const [state, action] = step;
    const before = this.status.state, turn = ++this._turn;
    if (before === "idle" && state !== "idle") this._listen();
    if (state === "idle") this._unlisten();
    if (state !== before) {
      if (state !== "open") this._hangUp();
      if (state === "idle" || state === "error") this._acts.refuseAll("closed", detail || "the connection was closed");
      this._say({
        state, detail, synced: false, retryAt: null, needsToken: false, since: this.clock.now(), ...more,
      });
      if (turn !== this._turn) return; // a listener has called close() or reconnect()
    }
    this[`_${action}`]();
  }

  /** Ask the hub for an act: a promise that ends once the jobs shown include it. */
  act(message, signal) {
    const { state, detail } = this.status;
    if (this._url === null || state === "idle" || state === "error") {
      return Promise.reject(new ActRefused("closed", detail || "there is no connection"));
    }
    if (JSON.stringify(message).length > MAX_ACT) {
      return Promise.reject(new ActRefused("invalid", "the act is too long for a message"));
    }
    const asked = this._acts.ask(message, signal);
    if (state === "open") this._sendActs();
    if (state === "resting") this.on("wake"); // whoever acts is there
    const more = () => this._sendMoreActs();
    asked.then(more, more);
    return asked;
  }

  _sendActs() {
    if (this._sendAct) this._sendMoreActs();
    else this._acts.refuseAll("unsupported", "the hub does not take acts");
  }

  _sendMoreActs() {
    const waitMs = this._sendAct && this._acts.send(this._sendAct, this.clock.now());
    if (waitMs !== null && !this._timers.has("acts")) {
      this._after("acts", waitMs, () => this._sendMoreActs());
    }
  }

  retryNow() {
    this._tries = 0;
    this.on("start");
  }

  _say(news) {
    this.status = Object.freeze({ ...this.status, ...news, cursor: this._records.cursor });
    this._changed({ ...NOTHING, status: this.status });
  }

  // -- what TRANSITIONS names

  async _dial() {
    this._hangUp();
    if (this._isHidden() && !this._timers.has("rest")) this._restLater();
    const run = this._run;
    let token = null;
    this._hintMs = null;
    this._notBefore = 0;
    this._after("connect", TOKEN_MS, () => this.on("lost", "no token within 60 s"));
    try {
      // In a later turn in any case: whoever closes at once makes no socket.
      token = await (typeof this._token === "function" ? this._token() : this._token);
    } catch (error) {
      if (run === this._run) this.on("lost", `no token: ${error?.message ?? error}`);
      return;
    }
    if (run !== this._run) return;
    this._after("connect", CONNECT_MS, () => this.on("lost", "no connection within 5 s"));
    const query = new URLSearchParams(this._query);
    if (this._records.cursor) query.set("since", this._records.cursor);
    let socket;
    try {
      socket = new this._WebSocket(`${this._url}?${query}`, SUBPROTOCOL);
    } catch (error) {
      this.on("refused", String(error?.message ?? error));
      return;
    }
    this._socket = socket;
    this._owners = [];
    this._namedOwners = false; // in this connection
    this._timeAskedAt = undefined;
    this._heardAt = this._pulseAt = this.clock.now();
    this._askedAt = null;
    const ours = (take) => (event) => {
      if (run === this._run) take(event);
    };
    socket.onopen = ours(() => {
      this._cancel("connect");
      if (token) this._send({ type: "jobs:auth", token });
      this._heardAt = this.clock.now();
      this._pulse();
    });
    socket.onmessage = ours(({ data }) => this._hear(data));
    // A close follows in the same turn, but not in Node 20 where the connection is refused.
    socket.onerror = ours(() => this._after("error", 0, () => this._closed(1006, "")));
    socket.onclose = ours(({ code, reason }) => this._closed(code, reason));
  }

  _welcome() {
    this._tries = 0;
    this._sendActs();
  }

  _wait() {
    this._hangUp();
    const most = Math.min(CAP_MS, BASE_MS * 2 ** Math.min(this._tries++, 10));
    const ms = this._hintMs ?? Math.max(MIN_MS, most * this.clock.random());
    if (this._hintMs !== null) this._notBefore = this.clock.now() + ms;
    this._hintMs = null;
    this._tryIn(ms);
  }

  _waitLess() {
    this._tries = 0;
    const now = this.clock.now();
    const leftMs = this.status.retryAt === null ? -1 : this.status.retryAt - now;
    // What the hub said holds for a page that wakes, unless the clock was set back meanwhile.
    const hintMs = Math.min(MAX_HINT_MS, this._notBefore - now);
    if (leftMs >= 0 && leftMs <= Math.max(WAKE_MS, hintMs)) return; // many wakes do not put it off
    this._tryIn(Math.max(hintMs, WAKE_MS * this.clock.random()));
  }

  _tryIn(ms) {
    this._after("retry", ms, () => this.on("due")); // first, since a listener may call close()
    this._say({ retryAt: this.clock.now() + ms });
  }

  /** Ask the hub for an answer within two seconds: phones leave dead sockets open. */
  _probe(isSecond = false) {
    if (this._timers.has("probe")) return;
    const asked = this.clock.now();
    this._ping();
    this._after("probe", PROBE_MS, () => {
      if (this._askedAt === null) return; // something came since
      // After a sleep the timer may come before the answer that has long arrived. So a late timer
      // asks once more; in a background tab every timer is late.
      if (!isSecond && this.clock.now() - asked > PROBE_MS + LATE_MS) this._probe(true);
      else this.on("lost", "the hub does not answer");
    });
  }

  _hangUp() {
    this._run += 1;
    for (const name of ["connect", "error", "retry", "probe", "pulse", "ack", "acts"]) this._cancel(name);
    const socket = this._socket;
    this._socket = this._sendAct = null;
    if (socket) {
      socket.onopen = socket.onmessage = socket.onclose = null;
      socket.close();
    }
  }

  // -- from the hub

  _closed(code, reason) {
    const hint = /^retry-after=([0-9.]+)(?:; )?(.*)$/s.exec(reason);
    const hintMs = Number(hint?.[1]) * 1000;
    if (Number.isFinite(hintMs)) this._hintMs = Math.max(MIN_MS, Math.min(MAX_HINT_MS, hintMs));
    const detail = (hint ? hint[2] : reason) || `the connection ended (${code})`;
    if (code === 4401) this.on("refused", detail, { needsToken: true });
    else if (code === 1009 || (code >= 4400 && code < 4500)) this.on("refused", detail);
    else this.on("lost", detail);
  }

  _hear(data) {
    let message;
    try {
      message = JSON.parse(data);
    } catch {
      return this.on("lost", "a message of the hub is no JSON");
    }
    this._heardAt = this.clock.now();
    this._askedAt = null;
    if (!isUnderstood(message)) return this.on("lost", "a message of the hub is not understood");
    if (message.type === "jobs:delta") this._take(message);
    else if (message.type === "jobs:pong") this._takeTime(message);
    else if (message.type === "jobs:owners") this._takeOwners(message);
    else if (message.type === "jobs:refused") this._acts.refused(message);
    else if (message.type === "jobs:done") {
      this._acts.done(message);
      this._sendMoreActs();
    }
  }

  _take(delta) {
    if (!this._records.follows(delta)) return this.on("lost", "a delta does not follow from where we are");
    const run = this._run, isFirst = this.status.state === "connecting";
    const can = isFirst ? Object.freeze([...(delta.can ?? [])]) : this.status.can;
    // A hub that knows a page by its cookie takes acts by POST, where a browser shows their origin.
    const isPosted = delta.acts === "post";
    if (isFirst && delta.can) this._sendAct = (message) => (isPosted ? this._post(message) : this._send(message));
    this.on("message", "live", { can });
    if (run !== this._run) return; // a listener has called close()
    const change = this._records.apply(delta);
    const isNews = !delta.more && !this.status.synced;
    const synced = this.status.synced || isNews;
    this.status = Object.freeze({ ...this.status, synced, cursor: this._records.cursor });
    if (isNews) change.status = this.status;
    this._ack();
    if (this._timeAskedAt === undefined && !delta.more) this._ping();
    if (change.jobs.length || change.gone.length || change.reset || change.status) this._changed(change);
    this._acts.settle();
    if (run === this._run && delta.digest && !delta.more) this._verify(delta.digest);
  }

  _takeTime({ at, now }) {
    // A hub without dead owners sends no list, and a pong comes after all that was due before.
    if (this._namedOwners === false && this.status.synced) this._setDead([]);
    const hubMs = Date.parse(now), received = this.clock.now();
    if (!Number.isFinite(hubMs) || typeof at !== "number" || received < at) return;
    // The hub's time lies between our times of sending and receiving; see HubClock in Python.
    const least = hubMs - received, most = hubMs - at;
    if (!(least <= this.aheadMs && this.aheadMs <= most)) this.aheadMs = (least + most) / 2;
  }

  _takeOwners({ dead, more }) {
    this._owners.push(...dead);
    if (more) return; // a long list takes several messages
    this._setDead(this._owners);
    this._owners = [];
  }

  _setDead(owners) {
    this._namedOwners = true;
    const jobs = this._records.setDead(new Set(owners));
    if (jobs.length) this._changed({ ...NOTHING, jobs });
  }

  /** Compare what we hold with the hub's digest, a slice at a time, off the page's frames. */
  _verify(wanted) {
    const { digest, applied } = this._records;
    if (this.clock.now() - this._verifiedAt < VERIFY_MS) return;
    const run = this._run;
    const step = () => {
      if (run !== this._run) return;
      const end = performance.now() + SLICE_MS;
      while (digest.dirty.size && performance.now() < end) digest.hashOne();
      if (digest.dirty.size) return this._after("verify", 0, step);
      // Another delta has come, and the last one of its pages has the digest to compare with. The
      // cursor does not tell: it stays while a list of what is gone takes several deltas.
      if (this._records.applied !== applied) return;
      this._verifiedAt = this.clock.now();
      if (digest.value() === wanted) return;
      this._records.forget();
      digest.clear();
      this._say({ diverged: this.status.diverged + 1 });
      this.on("lost", "diverged: what was held is not what the hub holds; everything is read anew");
    };
    this._after("verify", 0, step);
  }

  // -- to the hub

  _send(message) {
    if (this._socket?.readyState === 1) this._socket.send(JSON.stringify(message));
  }

  async _post({ type, id, ...body }) {
    const verb = type.slice("jobs:".length), run = this._run;
    const base = this._url.replace(/^ws/, "http").replace(/ws\/jobs$/, "");
    const refuse = (news) => this._acts.refused({ ...news, req: body.req });
    let message = null, status = 0;
    try {
      const answer = await this._fetch(`${base}api/jobs/${encodeURIComponent(id)}/${verb}`, {
        method: "POST", credentials: "same-origin", headers: { "Content-Type": "application/json" },
        body: JSON.stringify(body),
      });
      ({ status } = answer);
      message = await answer.json();
    } catch {
      // no network, or no JSON
    }
    if (message?.type === "jobs:done" && isUnderstood(message)) {
      this._acts.done(message);
      this._sendMoreActs();
    } else if (message?.type === "jobs:refused" && isUnderstood(message)) refuse(message);
    else if (status >= 400 && status < 500) {
      const code = status === 401 || status === 403 ? "forbidden" : "invalid";
      refuse({ code, message: message?.error ?? `the hub's address answered with ${status}` });
    } else if (run === this._run) { // or the next connection sends it again
      this._acts.unsent(body.req);
      this._after("acts", BASE_MS + CAP_MS * this.clock.random() / 10, () => this._sendMoreActs());
      this._probe();
    }
  }

  _ping() {
    this._timeAskedAt = this.clock.now();
    this._askedAt ??= this._timeAskedAt;
    this._send({ type: "jobs:ping", at: this._timeAskedAt });
  }

  /** Acknowledge the newest revision, at most once a second. */
  _ack() {
    if (this._timers.has("ack")) return;
    const send = () => {
      if (this._acked === this._records.revision) return;
      this._acked = this._records.revision;
      this._send({ type: "jobs:ack", through: this._acked });
      this._after("ack", ACK_MS, send);
    };
    this._acked = null;
    send();
  }

  // -- time and the page

  /** Look now and then whether the hub is silent, or we were away. */
  _pulse() {
    this._after("pulse", PULSE_MS, () => {
      const now = this.clock.now(), passedMs = now - this._pulseAt;
      this._pulseAt = now;
      if (passedMs < 0) { // the clock was set back: what was noted before lies in the future
        this._heardAt = this._verifiedAt = this._timeAskedAt = now;
      }
      if (this.status.state === "connecting" && now - this._heardAt > 5 * QUIET_MS) {
        return this.on("lost", "the hub is silent");
      }
      // The machine slept, or the page was frozen, or timers are slow.
      if (passedMs < 0 || passedMs > 3 * PULSE_MS) this.on("wake");
      else if (this.status.state === "open" && now - this._heardAt > QUIET_MS) this._probe();
      else if (now - (this._timeAskedAt ?? now) > CLOCK_MS) this._ping();
      this._pulse();
    });
  }

  _listen() {
    const page = this._page, document = page?.document;
    if (!page?.addEventListener) return;
    const add = (target, type, listener) => {
      target.addEventListener(type, listener);
      this._listening.push(() => target.removeEventListener(type, listener));
    };
    add(page, "online", () => this.on("wake"));
    add(page, "pageshow", ({ persisted }) => persisted && this.on("wake"));
    if (!document) return;
    const look = () => {
      this._cancel("rest");
      if (this._isHidden()) this._restLater();
      else this.on("wake");
    };
    add(document, "visibilitychange", look);
  }

  _isHidden() {
    return this._page?.document?.visibilityState === "hidden";
  }

  _restLater() {
    if (this._rests) this._after("rest", REST_MS, () => this.on("hide", "hidden for five minutes"));
  }

  _unlisten() {
    this._cancel("rest");
    for (const remove of this._listening.splice(0)) remove();
  }

  _after(name, ms, action) {
    this._cancel(name);
    this._timers.set(name, this.clock.set(() => {
      this._timers.delete(name);
      action();
    }, ms));
  }

  _cancel(name) {
    if (this._timers.has(name)) this.clock.clear(this._timers.get(name));
    this._timers.delete(name);
  }
}

/** Whether a message has the form of its type. Messages of a type that we do not know have any. */
function isUnderstood(message) {
  if (typeof message !== "object" || message === null) return false;
  const { type, epoch, since, through, jobs, gone, can = [], req, revision, cursor, code, job } = message;
  if (type === "jobs:owners") return Array.isArray(message.dead);
  if (type === "jobs:done") return typeof req === "string" && Number.isInteger(revision) && typeof cursor === "string";
  if (type === "jobs:refused") return typeof code === "string" && typeof (job ?? {}) === "object";
  if (type !== "jobs:delta") return true;
  return typeof epoch === "string" && Array.isArray(can) && Number.isInteger(since) && Number.isInteger(through)
    && since <= through && Array.isArray(gone) && Array.isArray(jobs)
    && jobs.every((job) => typeof job?.id === "string" && typeof job.stage === "string");
}

function socketUrl(url, location) {
  const made = new URL(url ?? "/", location?.href);
  made.protocol = made.protocol.replace(/^http/, "ws");
  if (!made.pathname.endsWith("/ws/jobs")) made.pathname = made.pathname.replace(/\/*$/, "/ws/jobs");
  made.search = made.hash = "";
  return String(made);
}

const FILTER_KEYS = new Set(["type", "stage", "id", "session", "label", "active"]);

function queryOf(filter, fields, verify) {
  const query = new URLSearchParams();
  for (const [key, value] of Object.entries(filter)) {
    if (!FILTER_KEYS.has(key)) throw new TypeError(`a filter has no ${key}`);
    if (key === "active") {
      if (value) query.set("active", "1");
    } else {
      for (const one of [value].flat()) if (one !== undefined && one !== null) query.append(key, one);
    }
  }
  if (fields) query.set("fields", [...fields].sort().join());
  if (verify) query.set("digest", "1");
  return query;
}

// -- digests ------------------------------------------------------------------------------------

/**
 * The exclusive or of one hash a job: the first eight bytes of SHA-256 of "id revision".
 * Only jobs that have changed since the last look are hashed.
 */
class Digest {
  constructor() {
    this.clear();
  }

  clear() {
    this.dirty = new Map(); // id → revision, or null if it is gone
    this._hashes = new Map();
    this._high = this._low = 0;
  }

  put(id, revision) {
    this.dirty.set(id, revision);
  }

  remove(id) {
    if (this._hashes.has(id)) this.dirty.set(id, null);
    else this.dirty.delete(id);
  }

  /** Take one change into account. */
  hashOne() {
    const [id, revision] = this.dirty.entries().next().value;
    this.dirty.delete(id);
    const old = this._hashes.get(id);
    if (old) this._flip(old);
    if (revision === null) return void this._hashes.delete(id);
    const hash = startOfSha256(`${id} ${revision}`);
    this._hashes.set(id, hash);
    this._flip(hash);
  }

  _flip([high, low]) {
    this._high ^= high;
    this._low ^= low;
  }

  value() {
    const hex = (word) => (word >>> 0).toString(16).padStart(8, "0");
    return hex(this._high) + hex(this._low);
  }
}

// FIPS 180-4. Pages over plain http have no crypto.subtle.

const [START, ROUNDS] = (() => {
  const primes = [];
  for (let n = 2; primes.length < 64; n++) if (primes.every((prime) => n % prime)) primes.push(n);
  const fraction = (x) => Math.floor((x - Math.floor(x)) * 2 ** 32) | 0;
  return [
    Int32Array.from(primes.slice(0, 8), (prime) => fraction(Math.sqrt(prime))),
    Int32Array.from(primes, (prime) => fraction(Math.cbrt(prime))),
  ];
})();
const WORDS = new Int32Array(64);

/** The first two words of SHA-256 of a short ASCII text. */
export function startOfSha256(text) {
  const blocks = Math.ceil((text.length + 9) / 64);
  const bytes = new DataView(new ArrayBuffer(blocks * 64));
  for (let at = 0; at < text.length; at++) bytes.setUint8(at, text.charCodeAt(at));
  bytes.setUint8(text.length, 0x80);
  bytes.setUint32(blocks * 64 - 4, text.length * 8);
  const turn = (word, by) => (word >>> by) | (word << (32 - by));
  let state = Array.from(START);
  for (let block = 0; block < blocks; block++) {
    for (let t = 0; t < 16; t++) WORDS[t] = bytes.getInt32(block * 64 + t * 4);
    for (let t = 16; t < 64; t++) {
      const a = WORDS[t - 15], b = WORDS[t - 2];
      const s0 = turn(a, 7) ^ turn(a, 18) ^ (a >>> 3), s1 = turn(b, 17) ^ turn(b, 19) ^ (b >>> 10);
      WORDS[t] = (WORDS[t - 16] + s0 + WORDS[t - 7] + s1) | 0;
    }
    let [a, b, c, d, e, f, g, h] = state;
    for (let t = 0; t < 64; t++) {
      const s1 = turn(e, 6) ^ turn(e, 11) ^ turn(e, 25), choice = (e & f) ^ (~e & g);
      const one = (h + s1 + choice + ROUNDS[t] + WORDS[t]) | 0;
      const s0 = turn(a, 2) ^ turn(a, 13) ^ turn(a, 22), major = (a & b) ^ (a & c) ^ (b & c);
      [h, g, f, e, d, c, b, a] = [g, f, e, (d + one) | 0, c, b, a, (one + s0 + major) | 0];
    }
    state = [a, b, c, d, e, f, g, h].map((word, place) => (word + state[place]) | 0);
  }
  return [state[0], state[1]];
}

const EMPTY = Object.freeze({
  jobs: Object.freeze([]), counts: Object.freeze({ ...NONE }),
  status: Object.freeze({
    state: "idle", detail: "", synced: false, retryAt: null, since: 0, cursor: null, diverged: 0,
    needsToken: false, can: NO_ITEMS,
  }),
});
