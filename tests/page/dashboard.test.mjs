// The pure modules of the dashboard.

import assert from "node:assert/strict";
import { test } from "node:test";
import {
  chipsOf, emptyView, hasSameFilter, hrefOf, hubFilter, viewOf, withFilter, withoutFilter,
} from "../../jobctl/page/dashboard/address.js";
import { actOnAll, actsFor, resultText } from "../../jobctl/page/dashboard/acts.js";
import { Board } from "../../jobctl/page/dashboard/board.js";
import { LastHour, PARTS } from "../../jobctl/page/dashboard/hour.js";
import { ago, countText, describe, duration, exactTime, wholeSeconds, workerOf } from "../../jobctl/page/dashboard/model.js";

const HUB = "http://127.0.0.1:8765";
const NOW = Date.parse("2026-11-28T12:00:00Z");
const USUAL = {
  label: "Creating session", stalledMs: 60000, expectMs: null, usualMs: null,
  stages: [
    { name: "pending", label: "Queued", percent: 0 }, { name: "extract", label: "Extracting", percent: 15 },
    { name: "analyze", label: "Analyzing", percent: 40 }, { name: "completed", label: "Completed", percent: 100 },
  ],
};
const NONE = { label: null, stalledMs: null, expectMs: null, usualMs: null, takesRetries: false, stages: [] };
const pipelineOf = (type) => (type === "usual" ? USUAL : NONE);

function before(seconds) {
  return new Date(NOW - seconds * 1000).toISOString();
}

function jobOf(id, more = {}) {
  const job = {
    id, type: "etl", stage: "load", revision: 1, createdAt: before(60), updatedAt: before(50),
    stageStartedAt: before(50), retryCount: 0, ...more,
  };
  const active = job.stage !== "completed" && job.stage !== "failed";
  return { ...job, derived: { active, cancelled: false, lost: false, ...more.derived } };
}

function boardOf(jobs, view = {}, more = {}) {
  const board = new Board({ pipelineOf, view: { ...emptyView(), ...view }, ...more });
  board.update({ jobs, gone: [] }, NOW);
  return board;
}

const put = (board, ...jobs) => board.update({ jobs, gone: [] }, NOW);

// -- addresses --------------------------------------------------------------------------------------

test("an address is a view, and a view is an address", () => {
  for (const path of [
    "/", "/?active=1&type=etl", "/?type=a&type=b&session=s%2F1&label=team%3Ddata&id=x", "/?stage=failed&q=two+words&sort=-took",
    "/?show=failed&kiosk=1", "/jobs/a.b-c", "/jobs/a?active=1&type=%3Cb%3E&show=lost",
  ]) assert.equal(hrefOf(viewOf(new URL(path, HUB))), path);
});

test("an address below a base has its views below it", () => {
  const view = viewOf(`${HUB}/hub/jobs/a1?q=x`, "/hub");
  assert.deepEqual([view.job, view.q], ["a1", "x"]);
  assert.equal(hrefOf(view, "/hub"), "/hub/jobs/a1?q=x");
  assert.equal(hrefOf({ ...view, job: null }, "/hub"), "/hub/?q=x");
});

test("an address that nobody has made is a view too", () => {
  const view = viewOf(`${HUB}/?show=constructor&sort=-nothing&active=0&type=&since=1:2&x=y`);
  assert.deepEqual(view, emptyView());
  assert.equal(viewOf(`${HUB}/jobs/%E0%A4%A`).job, "%E0%A4%A");
  assert.equal(viewOf(`${HUB}/jobs/a/b`).job, null);
});

test("only the filter is sent to the hub", () => {
  const view = viewOf(`${HUB}/?active=1&type=etl&q=x&show=failed&sort=job`);
  assert.deepEqual(hubFilter(view), { type: ["etl"], active: true });
  assert.ok(hasSameFilter(view, { ...view, q: "other", show: null, job: "a" }));
  assert.ok(!hasSameFilter(view, withoutFilter(view, "active", true)));
});

test("chips add to the filter, and take from it", () => {
  const view = withFilter(withFilter(emptyView(), "type", "etl"), "active", true);
  assert.deepEqual(chipsOf(view).map(({ text }) => text), ["active", "type etl"]);
  assert.equal(hrefOf(withFilter(view, "type", "etl")), hrefOf(view));
  assert.equal(hrefOf(withoutFilter(withoutFilter(view, "type", "etl"), "active", true)), "/");
  assert.deepEqual(emptyView().filter.type, []);
});

// -- words ------------------------------------------------------------------------------------------

test("durations are those of the command line", () => {
  assert.deepEqual([850, 12000, 185000, 7620000, 356400000, NaN].map(duration), ["850ms", "12s", "3m05s", "2h07m", "4d03h", ""]);
  assert.deepEqual([0, 999, 1999, -5].map(wholeSeconds), ["0s", "0s", "1s", "0s"]);
  assert.deepEqual([0, 59, 61, 7200, 180000].map((s) => ago(NOW - s * 1000, NOW)), ["0s ago", "59s ago", "1m ago", "2h ago", "2d ago"]);
  assert.equal(ago(NOW + 5000, NOW), "0s ago");
  assert.equal(ago(NaN, NOW), "");
});

test("counts have separators", () => {
  assert.deepEqual([0, 999, 1000, 10243, 1234567].map(countText), ["0", "999", "1,000", "10,243", "1,234,567"]);
});

test("a time is exact in the zone of the reader", () => {
  const text = exactTime(NOW + 7);
  const [, day, time, zone] = /^(\S+) (\S+) ([+-]\d\d:\d\d)$/.exec(text);
  assert.equal(Date.parse(`${day}T${time}${zone}`), NOW + 7);
});

test("who works on a job", () => {
  const told = (fields) => workerOf(jobOf("a", fields));
  assert.equal(told({ user: "anna", host: "alpha", owner: "12-0123456789ab" }), "anna@alpha");
  assert.equal(told({ host: "alpha" }), "alpha");
  assert.equal(told({ owner: "12-0123456789ab" }), "pid 12");
  assert.equal(told({ user: 3, host: {}, owner: null }), "");
});

test("a row shows one bar of stages with their names", () => {
  const job = jobOf("a", { type: "usual", stage: "extract", progress: { done: 1, total: 4 }, message: "orders" });
  const { strip, percent, stage, progress, message, name } = describe(job, job, "running", pipelineOf);
  assert.deepEqual(strip.stages, [{ label: "Extracting", state: "now" }, { label: "Analyzing", state: "ahead" }]);
  assert.deepEqual([strip.fraction, strip.text], [0.25, "Stage 1 of 2: Extracting"]);
  assert.deepEqual([percent, stage, progress, message, name], [21, "Extracting", "1/4", "orders", "Creating session"]);
});

// -- the board --------------------------------------------------------------------------------------

test("trouble stands first, then what runs, waits and has ended", () => {
  const board = boardOf([
    jobOf("done", { stage: "completed", completedAt: before(1) }), jobOf("waits", { stage: "pending" }),
    jobOf("runs"), jobOf("stalls", { type: "usual", stageStartedAt: before(61), createdAt: before(62) }),
    jobOf("lost", { derived: { lost: true } }), jobOf("failed", { stage: "failed", updatedAt: before(5) }),
  ]);
  assert.deepEqual(board.ids(), ["failed", "lost", "stalls", "runs", "waits", "done"]);
  assert.deepEqual(board.counts, { running: 1, pending: 1, stalled: 1, lost: 1, failed: 1, cancelled: 0, completed: 1 });
});

test("the time makes a job stalled, and no other change", () => {
  const board = boardOf([jobOf("a", { type: "usual", stageStartedAt: before(58) }), jobOf("b", { createdAt: before(1) })]);
  assert.deepEqual(board.ids(), ["b", "a"]);
  assert.equal(board.tick(NOW + 1000), false);
  assert.equal(board.tick(NOW + 3000), true);
  assert.deepEqual([board.kind("a"), ...board.ids()], ["stalled", "a", "b"]);
  assert.equal(board.tick(NOW + 4000), false);
});

test("a job that goes on is not stalled at its old time", () => {
  const board = boardOf([jobOf("a", { type: "usual", stageStartedAt: before(58) })]);
  put(board, jobOf("a", { type: "usual", stageStartedAt: before(1) }));
  board.tick(NOW + 5000);
  assert.equal(board.kind("a"), "running");
  board.update({ jobs: [], gone: ["a"] }, NOW);
  board.tick(NOW + 90000);
  assert.deepEqual([board.total, board.counts.running, board.counts.stalled], [0, 0, 0]);
});

test("all is looked at again when the clock is set", () => {
  const board = new Board({ pipelineOf, view: emptyView() });
  board.update({ jobs: [jobOf("a", { type: "usual", stageStartedAt: before(0) })], gone: [] }, NOW + 3600000, 0);
  assert.equal(board.kind("a"), "stalled");
  assert.equal(board.tick(NOW + 1000, 1000), true);
  assert.equal(board.kind("a"), "running");
});

test("a search looks at id, title, type, session, message and error", () => {
  const board = boardOf([
    jobOf("needle1"), jobOf("a", { title: "A Needle" }), jobOf("b", { type: "needles" }), jobOf("c", { sessionId: "x-needle" }),
    jobOf("d", { message: "needle found" }), jobOf("e", { stage: "failed", error: "no needle" }), jobOf("f", { labels: { needle: "1" } }),
  ], { q: "NEEDLE" });
  assert.deepEqual([...board.ids()].sort(), ["a", "b", "c", "d", "e", "needle1"]);
  board.setView({ ...emptyView(), q: "needle found" });
  assert.deepEqual(board.ids(), ["d"]);
  put(board, jobOf("d", { message: "gone" }), jobOf("g", { message: "found: a needle" }));
  assert.deepEqual(board.ids(), ["g"]);
  assert.equal(board.total, 8);
});

test("a count is a filter that what changes enters and leaves", () => {
  const board = boardOf([jobOf("a"), jobOf("b", { stage: "completed" })], { show: "completed" });
  assert.deepEqual(board.ids(), ["b"]);
  put(board, jobOf("a", { stage: "completed" }), jobOf("b", { stage: "pending" }));
  assert.deepEqual(board.ids(), ["a"]);
});

test("each column sorts both ways, and what is not known stands last", () => {
  const jobs = [
    jobOf("a", { title: "beta", createdAt: before(30) }), jobOf("b", { title: "Alpha", createdAt: before(10) }),
    jobOf("c", { title: "gamma", createdAt: null, derived: { missing: ["createdAt"] } }),
  ];
  assert.deepEqual(boardOf(jobs, { sort: "job" }).ids(), ["b", "a", "c"]);
  assert.deepEqual(boardOf(jobs, { sort: "-job" }).ids(), ["c", "a", "b"]);
  assert.deepEqual(boardOf(jobs, { sort: "started" }).ids(), ["a", "b", "c"]);
  assert.deepEqual(boardOf(jobs, { sort: "-started" }).ids(), ["b", "a", "c"]);
});

test("what runs longest stands first by its time", () => {
  const jobs = [
    jobOf("long", { stage: "completed", createdAt: before(9000), completedAt: before(1) }),
    jobOf("young", { createdAt: before(5) }), jobOf("old", { createdAt: before(500) }),
  ];
  assert.deepEqual(boardOf(jobs, { sort: "-took" }).ids(), ["old", "young", "long"]);
});

test("of many failures only the newest are rows, and what runs is on the screen", () => {
  const failures = (count) => Array.from({ length: count }, (_, at) => (
    jobOf(`f${String(at).padStart(3, "0")}`, { stage: "failed", updatedAt: before(at + 1), completedAt: before(at + 1) })));
  const board = boardOf([...failures(20), jobOf("runs")]);
  assert.deepEqual([board.rows(), board.folded], [board.ids(), 0]);
  put(board, ...failures(28), jobOf("lost", { derived: { lost: true }, updatedAt: before(500) }));
  const newest = failures(10).map(({ id }) => id);
  assert.deepEqual([board.rows(), board.folded], [[...newest, "lost", "runs"], 18]);
  assert.equal(board.rows(), board.rows());
  assert.equal([...board.matching()].length, 30);
  put(board, jobOf("part", { parent: "f020" })); // of which one sees that it runs
  assert.equal(board.folded, 17);
  assert.ok(board.rows().includes("f020") && board.rows().includes("part"));
  for (const view of [{ q: "etl" }, { show: "failed" }, { sort: "job" }]) {
    board.setView({ ...emptyView(), ...view });
    assert.deepEqual([board.rows(), board.folded], [board.ids(), 0]);
  }
});

test("a pinned job stands above all others", () => {
  const pinned = new Set(["b"]);
  const board = boardOf([jobOf("a", { stage: "failed" }), jobOf("b", { stage: "completed" })], {}, { isPinned: (id) => pinned.has(id) });
  assert.deepEqual(board.ids(), ["b", "a"]);
});

test("the list of rows is another one only when something moves", () => {
  const board = boardOf([jobOf("a"), jobOf("b")]);
  const ids = board.ids();
  put(board, jobOf("a", { message: "news" }));
  assert.equal(board.ids(), ids);
  put(board, jobOf("c"));
  assert.notEqual(board.ids(), ids);
  assert.equal(ids.length, 2);
});

test("a thousand changes of ten thousand jobs look at those alone", () => {
  const jobs = Array.from({ length: 10000 }, (_, at) => jobOf(`j${at}`, { createdAt: before(at) }));
  let looks = 0;
  const board = new Board({ pipelineOf: (type) => (looks++, pipelineOf(type)), view: emptyView() });
  board.replace(jobs, NOW);
  looks = 0;
  for (let at = 0; at < 1000; at++) put(board, jobOf(`j${at * 7}`, { createdAt: before(at * 7), stage: "pending" }));
  board.ids();
  assert.ok(looks <= 2000, `${looks} looks`);
  assert.equal(board.counts.pending, 1000);
});

// -- the last hour ----------------------------------------------------------------------------------

test("what ended within the hour is counted where it ended", () => {
  const hour = new LastHour();
  hour.put("a", "completed", NOW - 1000, 4000, NOW);
  hour.put("b", "failed", NOW - 1000, 9000, NOW);
  hour.put("c", "completed", NOW - 3000000, 2000, NOW);
  hour.put("d", "completed", NOW - 3600000, 2000, NOW);
  const { completed, failed, median, parts } = hour.summary(NOW);
  assert.deepEqual([completed, failed, median, parts.length], [2, 1, 4000, PARTS]);
  assert.equal(parts.reduce((sum, part) => sum + part.completed, 0), 2);
  hour.remove("a");
  hour.put("c", "cancelled", NOW - 10, 2000, NOW);
  const then = hour.summary(NOW);
  assert.deepEqual([then.completed, then.failed, then.cancelled, then.median], [0, 1, 1, null]);
  assert.equal(hour.summary(NOW + 3700000).failed, 0);
  assert.equal(hour._partOf.size, 0);
});

test("the board counts the jobs that have a session or a worker", () => {
  const board = boardOf([jobOf("a", { sessionId: "s1" }), jobOf("b", { host: "node-1" }), jobOf("c", { sessionId: "" })]);
  assert.deepEqual(board.said, { session: 1, who: 1 });
  put(board, jobOf("a", { user: "amy" }), jobOf("b"));
  assert.deepEqual(board.said, { session: 0, who: 1 });
  board.tick(NOW + 5000);
  board.replace([jobOf("b", { sessionId: "s2" })], NOW);
  assert.deepEqual(board.said, { session: 1, who: 0 });
  board.update({ jobs: [], gone: ["b"] }, NOW);
  assert.deepEqual(board.said, { session: 0, who: 0 });
});

test("the board keeps the hour of its jobs", () => {
  const board = boardOf([jobOf("a", { stage: "completed", completedAt: before(9), createdAt: before(19) })]);
  assert.deepEqual([board.hour.summary(NOW).completed, board.hour.summary(NOW).median], [1, 10000]);
  put(board, jobOf("a", { stage: "pending" }));
  assert.equal(board.hour.summary(NOW).completed, 0);
});

// -- acts -------------------------------------------------------------------------------------------

test("acts are offered for the jobs and the rights that they are for", () => {
  const takes = () => ({ ...NONE, takesRetries: true });
  const all = ["view", "operate", "admin"];
  const failed = jobOf("a", { stage: "failed" }), lost = jobOf("a", { derived: { lost: true } });
  assert.deepEqual(actsFor(jobOf("a"), all, takes), ["cancel"]);
  assert.deepEqual(actsFor(failed, all, takes), ["retry", "acknowledge", "remove"]);
  assert.deepEqual(actsFor(failed, all, pipelineOf), ["acknowledge", "remove"]);
  assert.deepEqual(actsFor({ ...failed, acknowledged: true }, all, takes), ["retry", "remove"]);
  assert.deepEqual(actsFor(jobOf("a", { stage: "failed", derived: { cancelled: true } }), all, takes), ["retry", "remove"]);
  assert.deepEqual(actsFor(lost, all, takes), ["cancel", "acknowledge"]);
  assert.deepEqual(actsFor(jobOf("a", { stage: "completed" }), all, takes), ["remove"]);
  assert.deepEqual(actsFor(failed, ["view", "operate"], takes), ["retry", "acknowledge"]);
  assert.deepEqual(actsFor(failed, ["view", "details"], takes), []);
});

const ids = (count) => Array.from({ length: count }, (_, at) => `j${at}`);
const refusal = (code, more = {}) => Object.assign(new Error(code), { code, ...more });

test("each of many jobs is acted on once, and eight at a time", async () => {
  const seen = [];
  let open = 0, most = 0;
  const act = async (id) => {
    seen.push(id);
    most = Math.max(most, ++open);
    await new Promise((resolve) => setTimeout(resolve, 1));
    open -= 1;
    if (id === "j3") throw refusal("conflict", { hint: "look again" });
  };
  const result = await actOnAll(act, ids(50), { wait: async () => {} });
  assert.deepEqual([seen.length, new Set(seen).size, most <= 8], [50, 50, true]);
  assert.deepEqual([result.done, result.left, result.refused], [49, 0, [{ id: "j3", message: "conflict: look again" }]]);
  assert.equal(resultText("cancel", result), "49 cancelled, 1 refused");
});

test("a busy hub is asked again, and not without end", async () => {
  const waits = [];
  let busy = 2;
  const wait = async (ms) => void waits.push(ms);
  const once = await actOnAll(async () => { if (busy-- > 0) throw refusal("busy", { retryAfterS: 3 }); }, ["a"], { wait });
  assert.deepEqual([once.done, waits.filter((ms) => ms === 3000).length], [1, 2]);
  const never = await actOnAll(async () => { throw refusal("busy"); }, ["a"], { wait });
  assert.deepEqual([never.done, never.refused.length], [0, 1]);
});

test("a refusal that all others would get ends it, and so does the reader", async () => {
  const act = async () => { throw refusal("forbidden"); };
  const refused = await actOnAll(act, ids(100), { wait: async () => {} });
  assert.ok(refused.refused.length <= 8 && refused.left >= 92);
  const abort = new AbortController();
  const stopped = await actOnAll(async (id) => { if (id === "j9") abort.abort(); }, ids(100), { signal: abort.signal, wait: async () => {} });
  assert.ok(stopped.done < 30 && stopped.done + stopped.left === 100);
});
