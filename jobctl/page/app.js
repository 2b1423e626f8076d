// The live table: one cursor over the hub's jobs, which goes on where it was when a hub comes back.
// Whatever a job says is put in as text, never as markup.

const { base, socket, readOnly } = document.documentElement.dataset;
document.getElementById("read-only").hidden = readOnly !== "yes";
if (location.hash.startsWith("#token=")) // a link from `jobctl serve`: it has done its work
  history.replaceState(null, "", location.pathname + location.search);
const filter = new URLSearchParams(location.search);
filter.delete("since");

const TERMINAL = new Set(["completed", "failed"]);
const WORDS = { __proto__: null, pending: "Queued", completed: "Completed", failed: "Failed",
  cancelled: "Cancelled" };
const CANCELLED = "Cancelled by user"; // the error of a cancelled job, whose stage is "failed"
const MAX_ROWS = 500;
const MAX_HISTORY = 64; // entries of a history that may have been cut
const BACKOFF_MS = 500, MAX_BACKOFF_MS = 15000;
const FIRST_MS = Date.UTC(1971), LAST_MS = Date.UTC(9999), MAX_AHEAD_MS = 3600000;
const OVERDUE_MS = 60000, OVERDUE_SOON_MS = 500; // between two looks for types that are overdue
const QUIET_MS = 6000, SILENCE_MS = 18000, PULSE_MS = 1000;

const jobs = new Map();
const lacking = new WeakMap(); // which times the file of a job lacks
const rows = new Map();
const body = document.getElementById("rows");
let dead = new Set();
let cursor = null; // as the hub printed it
let tries = 0;
let drawing = false;
let aheadMs = 0; // how far the hub's clock is ahead of ours, by the answers to pings

const pipelines = JSON.parse(document.getElementById("pipelines").textContent);
const pipelineOf = (type) => (Object.hasOwn(pipelines, type) ? pipelines[type] : {});
const isExpected = ({ expectMs }) => expectMs != null; // a pipeline that has to succeed regularly

function connect() {
  say("connecting", tries ? "connecting again" : "connecting");
  const url = new URL(socket, location.href);
  url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  const query = new URLSearchParams(filter);
  if (cursor) query.set("since", cursor);
  url.search = query;
  const connection = new WebSocket(url, "jobctl.v1");
  let heard = Date.now(), asked = false, over = false, timed = false, owners = [];
  const ping = () => connection.send(JSON.stringify({ type: "jobs:ping", at: Date.now() }));
  const pulse = setInterval(() => {
    const silent = Date.now() - heard;
    if (silent > SILENCE_MS) {
      connection.close(); // which waits for the peer: we do not, nor after a sleep
      end(1006, "");
    } else if (silent > QUIET_MS && !asked && connection.readyState === WebSocket.OPEN) {
      asked = true;
      ping();
    }
  }, PULSE_MS);
  const end = (code, reason) => {
    if (over) return;
    over = true;
    clearInterval(pulse);
    if (code === 4401) return location.assign(`${base}/login`);
    if (code >= 4400 && code < 4500) return say("stopped", reason || `refused (${code})`);
    const hint = /^retry-after=([0-9.]+)(;|$)/.exec(reason);
    const most = Math.min(MAX_BACKOFF_MS, BACKOFF_MS * 2 ** tries++);
    say("connecting", "the hub is away; trying again");
    setTimeout(connect, hint ? Math.min(30, hint[1]) * 1000 : Math.random() * most);
  };
  connection.onclose = ({ code, reason }) => end(code, reason);
  connection.onmessage = ({ data }) => {
    if (over) return;
    heard = Date.now();
    asked = false;
    const message = JSON.parse(data);
    if (message.type === "jobs:delta") {
      tries = 0;
      say("open", "live");
      take(message, connection);
      if (!timed) ping();
      timed = true;
    } else if (message.type === "jobs:pong") {
      takeTime(knownMs(message.now), message.at, heard);
    } else if (message.type === "jobs:owners") {
      owners.push(...message.dead);
      if (message.more) return; // a long list takes several messages
      dead = new Set(owners);
      owners = [];
      draw();
    }
  };
}

function take(delta, connection) {
  if (delta.since === 0) jobs.clear();
  else if (!cursor || cursor.split(":")[1] !== String(delta.since)) return connection.close();
  for (const job of delta.jobs) {
    jobs.set(job.id, job);
    lacking.set(job, delta.odd?.[job.id]?.missing ?? []);
  }
  for (const id of delta.gone) jobs.delete(id);
  cursor = delta.cursor ?? `${delta.epoch}:${delta.through}`;
  connection.send(JSON.stringify({ type: "jobs:ack", through: delta.through }));
  draw();
  if (delta.jobs.some((job) => isExpected(pipelineOf(job.type)))) lookSoon();
}

// Types that did not succeed in time: the hub's settings say how often they have to.

let looking = 0, looks = 0;

function lookSoon() {
  looking ||= setTimeout(look, OVERDUE_SOON_MS);
}

async function look() {
  clearTimeout(looking);
  looking = 0;
  if (document.hidden) return;
  const number = ++looks;
  const answer = await fetch(`${base}/api/overdue`).catch(() => null);
  if (!answer?.ok) return; // the state of the connection says that the hub is away
  const { overdue } = await answer.json();
  if (number !== looks) return; // a later look knows more
  const list = document.getElementById("overdue");
  list.replaceChildren(...overdue.map(({ text }) => {
    const item = make("li");
    put(item, String(text));
    return item;
  }));
  list.hidden = !overdue.length;
}

function keepLooking() {
  if (!Object.values(pipelines).some(isExpected)) return;
  look();
  setInterval(look, OVERDUE_MS);
  document.addEventListener("visibilitychange", look);
}

// The hub's time lies between our times of sending and receiving; see HubClock in Python.
function takeTime(hubMs, sentMs, receivedMs) {
  const least = hubMs - receivedMs, most = hubMs - sentMs;
  if (least <= most && !(least <= aheadMs && aheadMs <= most)) aheadMs = (least + most) / 2;
}

function say(state, text) {
  const element = document.getElementById("state");
  element.dataset.state = state;
  put(element, text);
  document.body.dataset.live = state === "open" ? "yes" : "no";
}

function sayFilter() {
  const words = [...filter].map(([key, value]) => (key === "active" ? "active" : `${key} ${value}`));
  const element = document.getElementById("filter");
  element.querySelector("span").textContent = words.join(", ");
  element.hidden = !words.length;
}

function draw() {
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(() => {
    drawing = false;
    paint();
  });
}

function order(a, b) {
  return (
    TERMINAL.has(a.stage) - TERMINAL.has(b.stage) ||
    (a.createdAt < b.createdAt ? 1 : a.createdAt > b.createdAt ? -1 : a.id < b.id ? -1 : 1)
  );
}

function paint() {
  const all = [...jobs.values()].sort(order);
  const family = families(all);
  const shown = family.slice(0, MAX_ROWS);
  const keep = new Set(shown.map(({ job }) => job.id));
  for (const [id, row] of rows)
    if (!keep.has(id)) {
      row.element.remove();
      rows.delete(id);
    }
  shown.forEach(({ job, depth }, index) => {
    let row = rows.get(job.id);
    if (!row) {
      row = makeRow();
      rows.set(job.id, row);
    }
    fill(row, job);
    row.element.dataset.depth = Math.min(depth, 3);
    if (body.children[index] !== row.element) body.insertBefore(row.element, body.children[index]);
  });
  const count = (test) => all.filter(test).length;
  const active = count((job) => !TERMINAL.has(job.stage));
  const cancelled = count(isCancelled);
  const failed = count((job) => job.stage === "failed") - cancelled;
  const cut = family.length > MAX_ROWS;
  const more = cut ? `, the first ${MAX_ROWS} of ${family.length} shown` : "";
  document.getElementById("counts").textContent =
    `${active} active, ${all.length - active - failed - cancelled} completed, ${failed} failed` +
    (cancelled ? `, ${cancelled} cancelled` : "") + more;
  document.title = active ? `${active} active · Jobs` : "Jobs";
  document.querySelector("table").hidden = !all.length;
  const none = !all.length && cursor !== null;
  document.getElementById("empty").hidden = !none || filter.size > 0;
  document.getElementById("none").hidden = !none || filter.size === 0;
}

// The same rules as rows_of in Python: jobs that were tracked within a run stand below it, and a
// single one in its row.

function families(sorted) {
  const children = new Map(), tops = [], found = [];
  for (const job of sorted) {
    if (typeof job.parent !== "string" || job.parent === job.id || !jobs.has(job.parent)) tops.push(job);
    else if (!children.get(job.parent)?.push(job)) children.set(job.parent, [job]);
  }
  const take = (id) => {
    const below = children.get(id) ?? [];
    children.delete(id);
    return below;
  };
  const add = (job, depth) => {
    let below = take(job.id);
    while (below.length === 1 && tellsTheSame(job, below[0])) {
      const [child] = below;
      below = take(child.id);
      job = merged(job, child);
    }
    found.push({ job, depth });
    for (const child of below) add(child, depth + 1);
  };
  for (const job of tops) add(job, 0);
  for (const cycle of children.values()) for (const job of cycle) found.push({ job, depth: 0 });
  return found;
}

function tellsTheSame(run, child) {
  const ended = TERMINAL.has(child.stage);
  if (!TERMINAL.has(run.stage)) return !ended || child.stage === "completed";
  return child.stage === run.stage && isCancelled(child) === isCancelled(run);
}

function merged(run, child) {
  if (TERMINAL.has(run.stage) || TERMINAL.has(child.stage) || child.stage === "pending") return run;
  const told = !movedByOthers(child);
  const job = {
    ...run, stage: child.stage, stageStartedAt: child.stageStartedAt, updatedAt: child.updatedAt,
    progress: told ? child.progress : null, message: told ? child.message : null,
    title: child.title ?? run.title,
    stages: child.stages ?? Object.keys(pipelineOf(child.type).stages ?? {}).slice(1, -1),
    history: [...historyOf(run), { stage: child.stage, at: child.stageStartedAt }],
  };
  if (lacking.has(run)) lacking.set(job, lacking.get(run));
  return job;
}

function make(tag, className, role) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (role) element.setAttribute("role", role); // a phone's layout makes them no table otherwise
  return element;
}

function makeRow() {
  const row = { element: make("tr", "", "row") };
  const what = make("td", "what", "cell"), where = make("td", "where", "cell");
  const time = make("td", "time", "cell");
  const nowIn = make("div", "now-in");
  row.title = make("div", "title");
  row.id = make("div", "id");
  row.stage = make("span", "stage");
  row.strip = make("ol", "strip");
  row.strip.setAttribute("aria-hidden", "true");
  row.progress = make("progress");
  row.done = make("span", "note");
  row.note = make("div", "note");
  row.error = make("div", "error");
  row.time = time;
  row.progress.setAttribute("aria-label", "Progress of the stage");
  what.append(row.title, row.id);
  nowIn.append(row.stage, row.progress, row.done);
  where.append(nowIn, row.strip, row.note, row.error);
  row.element.append(what, where, time);
  return row;
}

function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function fill(row, job) {
  const active = !TERMINAL.has(job.stage);
  row.job = job;
  row.lost = active && dead.has(job.owner) && isRecordedAttempt(job);
  row.element.dataset.id = job.id;
  row.element.dataset.stage = job.stage;
  const label = pipelineOf(job.type).label;
  put(row.title, String(job.title ?? label ?? job.type));
  put(row.id, job.title || label ? `${job.id} · ${job.type}` : job.id);
  const told = active && !movedByOthers(job); // else both are of another stage
  const progress = told ? portion(job.progress) : null;
  row.progress.hidden = progress === null;
  if (progress !== null) row.progress.value = progress.share;
  put(row.done, progress === null ? "" : progress.text);
  put(row.note, told && job.message ? String(job.message) : "");
  put(row.error, isCancelled(job) ? cancellation(job) : job.error ? String(job.error) : "");
  strip(row.strip, job, active);
  clock(row);
}

function portion(progress) {
  if (typeof progress === "number") return { share: progress / 100, text: `${Math.round(progress)} %` };
  const { done, total } = progress ?? {};
  if (typeof done !== "number" || typeof total !== "number" || !(total > 0)) return null;
  return { share: Math.min(1, done / total), text: `${done}/${total}` };
}

function strip(list, job, active) {
  const known = Object.keys(pipelineOf(job.type).stages ?? {}).slice(1, -1);
  const stages = Array.isArray(job.stages) ? job.stages : known;
  list.hidden = stages.length < 2;
  const history = Array.isArray(job.history) ? job.history.map((entry) => entry.stage) : [];
  const last = active ? job.stage : history.filter((stage) => stages.includes(stage)).at(-1);
  const at = job.stage === "completed" ? stages.length : stages.indexOf(last);
  while (list.children.length > stages.length) list.lastChild.remove();
  stages.forEach((stage, index) => {
    const item = list.children[index] ?? list.appendChild(make("li"));
    item.className = index < at ? "done" : index === at ? "now" : "";
    item.title = String(stage);
  });
}

function clock(row) {
  const { job } = row, now = Date.now() + aheadMs, active = !TERMINAL.has(job.stage);
  const { stages = {}, stalledMs } = pipelineOf(job.type);
  const waits = job.stage === "pending"; // for a worker, who may come late
  const stalled = active && !waits && !row.lost && stalledMs != null && now - enteredMs(job) > stalledMs;
  const mark = row.lost ? "lost" : stalled ? "stalled" : "";
  const name = isCancelled(job) ? "cancelled" : job.stage;
  const known = (row.lost || name === "failed") && isAcknowledged(job);
  row.element.className = `${active ? "active" : name} ${mark} ${known ? "known" : ""}`.trim();
  const stage = WORDS[name] ?? (Object.hasOwn(stages, name) ? stages[name] : String(name));
  put(row.stage, (mark ? `${mark} in ${stage}` : stage) + (known ? ", acknowledged" : ""));
  const began = lacks(job, "createdAt") ? NaN : beganMs(job);
  const took = Math.max(0, Math.round((endedMs(job, now) - began) / 1000));
  put(row.time, Number.isFinite(took) ? words(took) : "");
}

// The same rules as attempt_in, Job.moved_by_others and Job._moved_at in Python.

function historyOf(job) {
  return Array.isArray(job.history) ? job.history : [];
}

function isRecordedAttempt(job) {
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

function movedByOthers(job) {
  const last = historyOf(job).at(-1);
  if (!last) return false;
  if (last.stage !== job.stage) return true;
  if (isRecordedAttempt(job)) return false;
  if (job.stage === "pending" || TERMINAL.has(job.stage)) return true;
  return (knownMs(job.stageStartedAt) || 0) > (knownMs(last.at) || 0);
}

// The same rules as Job.is_cancelled and Cancellation in Python.

function isCancelled(job) {
  if (job.stage !== "failed") return false;
  const said = job.cancelled;
  const told = said === true || (typeof said === "object" && said !== null && !Array.isArray(said));
  return (told && !movedByOthers(job)) || job.error === CANCELLED;
}

function cancellation(job) {
  const said = movedByOthers(job) ? {} : (job.cancelled ?? {});
  const text = (value) => (typeof value === "string" ? value : "");
  return `Cancelled by ${text(said.by) || "user"}${text(said.reason) && `: ${said.reason}`}`;
}

// The same rule as Job.is_acknowledged in Python.
function isAcknowledged(job) {
  const said = job.acknowledged;
  const told = said === true || (typeof said === "object" && said !== null && !Array.isArray(said));
  if (!told || (Number.isInteger(said.attempt) && said.attempt !== job.retryCount)) return false;
  return !movedByOthers(job);
}

// The same rules as clock.known_ms, Job.ended_ms and Job.stalled in Python.

function knownMs(text) {
  const ms = typeof text === "string" ? Date.parse(text) : NaN;
  return ms >= FIRST_MS && ms < LAST_MS ? ms : NaN;
}

// Whether the job's file lacks a time, which then is the file's own.
function lacks(job, key) {
  return lacking.get(job)?.includes(key) ?? false;
}

function enteredMs(job) {
  const times = [job.stageStartedAt, job.updatedAt, job.createdAt].map(knownMs);
  if (movedByOthers(job)) {
    const last = knownMs(historyOf(job).at(-1).at) || 0;
    return times.slice(0, 2).find((ms) => ms > last) ?? last;
  }
  return times.find((ms) => ms >= (knownMs(job.createdAt) || 0)) ?? NaN;
}

function endedMs(job, now) {
  if (!TERMINAL.has(job.stage)) return now;
  const created = knownMs(job.createdAt), entered = knownMs(job.stageStartedAt);
  let completed = knownMs(job.completedAt);
  if (job.stage === "failed" && completed < entered) completed = NaN;
  const updated = lacks(job, "updatedAt") && entered === entered ? NaN : knownMs(job.updatedAt);
  const changed = Math.max(...[updated, entered].filter((ms) => ms === ms));
  const ends = [completed, changed].filter((ms) => Number.isFinite(ms) && ms >= (created || 0));
  if (!ends.length) return created;
  const present = Math.max(now, created || 0);
  return ends.find((ms) => ms <= present + MAX_AHEAD_MS) ?? present;
}

// When the present attempt began: see Job.attempt_timeline.
function beganMs(job) {
  const created = knownMs(job.createdAt);
  const history = job.retryCount && Array.isArray(job.history) ? job.history : [];
  const again = history.findLastIndex((entry, index) => index > 0 && entry.stage === "pending");
  return again < 0 ? created : Math.max(created, knownMs(history[again].at) || created);
}

function words(seconds) {
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60), hours = Math.floor(minutes / 60);
  if (minutes < 60) return `${minutes} min ${seconds % 60} s`;
  return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

setInterval(() => rows.forEach((row) => TERMINAL.has(row.job.stage) || clock(row)), 1000);
sayFilter();
connect();
keepLooking();
