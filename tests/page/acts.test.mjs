// Acts of the browser's client, with a hub that the test plays.

import assert from "node:assert/strict";
import test from "node:test";
import { ActRefused, connect } from "../../jobctl/page/client.js";
import { FakeClock, FakePage, delta, fakeSockets, job, settled } from "./fakes.mjs";

const CAN = ["view", "operate"];

async function live(options = {}, first = { can: CAN }) {
  const clock = new FakeClock(), page = new FakePage(), WebSocket = fakeSockets(), changes = [];
  const jobs = connect({
    clock, window: page, WebSocket, onchange: (_, change) => changes.push(change), ...options,
  });
  await settled();
  const all = { clock, page, WebSocket, jobs, changes };
  WebSocket.last.open();
  WebSocket.last.say(delta(0, 2, [job("a", 1, { retryCount: 3 }), job("b", 2)], first));
  return all;
}

/** The state of a promise: "waits", what it resolved with, or its error. */
function outcome(promise) {
  const seen = { now: "waits" };
  promise.then((value) => (seen.now = value), (error) => (seen.now = error));
  return async () => (await settled(), seen.now);
}

const acts = (socket) => socket.sent.filter(({ req }) => req);

async function again({ clock, WebSocket }, first = delta(2, 2, [], { can: CAN })) {
  WebSocket.last.end();
  await clock.pass(250);
  WebSocket.last.open();
  assert.deepEqual(acts(WebSocket.last), [], "nothing before the hub has begun");
  WebSocket.last.say(first);
}

const refused = (req, more) => ({ type: "jobs:refused", req, code: "conflict", message: "it has ended", ...more });
const done = (req, revision, epoch = "e1") =>
  ({ type: "jobs:done", req, id: "a", revision, cursor: `${epoch}:${revision}` });

test("an act names the job, its attempt as shown, and a request of its own", async () => {
  const { WebSocket, jobs } = await live();
  jobs.cancel("a", { reason: "too slow" });
  jobs.cancel("b");
  jobs.retry("a");
  jobs.remove("b");
  const sent = acts(WebSocket.last);
  assert.deepEqual(sent.map(({ req, ...more }) => more), [
    { type: "jobs:cancel", id: "a", attempt: 3, reason: "too slow" }, { type: "jobs:cancel", id: "b", attempt: 0 },
    { type: "jobs:retry", id: "a", attempt: 3 }, { type: "jobs:remove", id: "b", attempt: 0 },
  ]);
  assert.equal(new Set(sent.map(({ req }) => req)).size, 4);
  for (const { req } of sent) assert.match(req, /^[A-Za-z0-9_-]{16,64}$/);
});

for (const order of ["the answer, then the job", "the job, then the answer"]) {
  test(`it is done when the job is shown: ${order}`, async () => {
    const { WebSocket, jobs, changes } = await live();
    const one = outcome(jobs.cancel("a"));
    changes.length = 0;
    const { req } = acts(WebSocket.last)[0];
    const answer = done(req, 4), news = delta(2, 4, [job("a", 4, { stage: "failed" })]);
    WebSocket.last.say(order.startsWith("the answer") ? answer : news);
    assert.equal(await one(), "waits");
    assert.equal(jobs.get("a").stage, order.startsWith("the answer") ? "load" : "failed", "as the hub says, no sooner");
    WebSocket.last.say(order.startsWith("the answer") ? news : answer);
    assert.equal(await one(), jobs.get("a"));
    assert.equal(changes.length, 1);
    WebSocket.last.say(done(req, 4)); // once more changes nothing
    assert.equal(jobs._machine._acts.count, 0);
  });
}

test("a page of a longer delta that does not reach the revision is not enough", async () => {
  const { WebSocket, jobs } = await live();
  const one = outcome(jobs.retry("a"));
  WebSocket.last.say(done(acts(WebSocket.last)[0].req, 5));
  WebSocket.last.say(delta(2, 4, [job("b", 4)], { more: true }));
  assert.equal(await one(), "waits");
  WebSocket.last.say(delta(4, 6, [job("a", 5, { retryCount: 4 }), job("c", 6)]));
  assert.equal((await one()).retryCount, 4);
});

test("a job that is removed or leaves the filter is undefined", async () => {
  const { WebSocket, jobs } = await live();
  const both = [outcome(jobs.remove("a")), outcome(jobs.cancel("b"))];
  const [a, b] = acts(WebSocket.last);
  WebSocket.last.say(done(a.req, 3));
  WebSocket.last.say(done(b.req, 4));
  WebSocket.last.say(delta(2, 3, [], { gone: ["a"] }));
  assert.deepEqual([await both[0](), await both[1]()], [undefined, "waits"]);
  WebSocket.last.say(delta(3, 4, [], { gone: ["b"] }));
  assert.equal(await both[1](), undefined);
});

test("after a cut it asks again, with the same request, and only for what is not answered", async () => {
  const all = await live(), { WebSocket, jobs } = all;
  const one = outcome(jobs.cancel("a")), other = outcome(jobs.retry("b"));
  const [first, second] = acts(WebSocket.last);
  WebSocket.last.say(done(second.req, 3));
  await again(all);
  assert.deepEqual(acts(WebSocket.last), [first]);
  await again(all);
  assert.deepEqual(acts(WebSocket.last), [first]);
  WebSocket.last.say(delta(2, 3, [job("b", 3, { retryCount: 1 })]));
  assert.equal((await other()).retryCount, 1);
  WebSocket.last.say(done(first.req, 3));
  assert.equal(await one(), jobs.get("a"));
  await again(all, delta(3, 3, [], { can: CAN }));
  assert.deepEqual(acts(WebSocket.last), []);
});

test("one that is asked for while there is no connection is sent with the next", async () => {
  const all = await live(), { jobs } = all;
  all.WebSocket.last.end();
  const one = outcome(jobs.cancel("a"));
  await again(all);
  assert.equal(acts(all.WebSocket.last).length, 1);
  all.WebSocket.last.say(done(acts(all.WebSocket.last)[0].req, 2));
  assert.equal(await one(), jobs.get("a"));
});

test("many acts go as fast as the hub takes them, in order, and each once", async () => {
  const all = await live(), { clock, jobs } = all;
  const ends = Array.from({ length: 2000 }, (_, attempt) => outcome(jobs.cancel("a", { attempt })));
  const seen = [];
  let ended = 0;
  const answer = async () => {
    for (const { req, attempt } of acts(all.WebSocket.last).slice(ended)) {
      ended += 1;
      seen.push(attempt);
      all.WebSocket.last.say(attempt % 2 ? done(req, 2) : refused(req));
    }
    await settled();
  };
  assert.equal(acts(all.WebSocket.last).length, 16, "not all at once");
  for (let tenth = 0; tenth < 100; tenth++) {
    for (let turn = 0; turn < 8; turn++) await answer();
    await clock.pass(100);
    all.WebSocket.last.say({ type: "jobs:pong", at: clock.now(), now: "x" });
  }
  const sent = all.WebSocket.last.sent.length;
  assert.ok(sent > 700 && sent < 950, `${sent} messages in ten seconds`);
  await answer();
  const one = ends.length - 1;
  const stop = new AbortController();
  const given = Array.from({ length: 3 }, () => outcome(jobs.retry("a", { signal: stop.signal })));
  await again(all);
  ended = 0;
  stop.abort("enough");
  for (let tenth = 0; tenth < 300; tenth++) {
    for (let turn = 0; turn < 4; turn++) await answer();
    await clock.pass(100);
    all.WebSocket.last.say({ type: "jobs:pong", at: clock.now(), now: "x" });
  }
  assert.deepEqual(seen, Array.from({ length: 2000 }, (_, attempt) => attempt));
  assert.deepEqual([await ends[one](), (await ends[0]()).code, await given[2]()], [jobs.get("a"), "conflict", "enough"]);
  assert.equal(jobs._machine._acts.count, 0);
});

test("an act that no message can carry is refused, and the connection stays", async () => {
  const { WebSocket, jobs } = await live();
  assert.equal((await outcome(jobs.cancel("a", { reason: "x".repeat(30000) }))()).code, "invalid");
  assert.deepEqual([acts(WebSocket.last), jobs.status.state], [[], "open"]);
});

test("a listener that acts as soon as the hub is there asks once", async () => {
  let one;
  const { WebSocket } = await live({
    onchange: (jobs, { status }) => {
      if (status?.state === "open") one ??= outcome(jobs.cancel("a", { attempt: 0 }));
    },
  });
  assert.equal(acts(WebSocket.last).length, 1);
  assert.equal(await one(), "waits");
});

test("an act ends a rest", async () => {
  const { clock, page, WebSocket, jobs } = await live();
  page.show("hidden");
  for (let seconds = 0; seconds < 300; seconds += 5) {
    await clock.pass(5000);
    WebSocket.last.say({ type: "jobs:pong", at: clock.now(), now: "x" });
  }
  assert.equal(jobs.status.state, "resting");
  jobs.cancel("a");
  await clock.pass(250);
  WebSocket.last.open();
  WebSocket.last.say(delta(2, 2, [], { can: CAN }));
  assert.equal(acts(WebSocket.last).length, 1);
});

test("a refusal has a code, a hint and the job as it stands", async () => {
  const { WebSocket, jobs, changes } = await live();
  const one = outcome(jobs.cancel("a")), two = outcome(jobs.cancel("b"));
  const [first, second] = acts(WebSocket.last), before = jobs.get("a");
  changes.length = 0;
  const stands = job("a", 9, { stage: "completed", result: { rows: [1] } });
  WebSocket.last.say(refused(first.req, { hint: "retry it", job: stands }));
  WebSocket.last.say(refused(second.req, { code: "busy", message: "too many acts", retryAfter: 2.5 }));
  const error = await one();
  assert.ok(error instanceof ActRefused && error instanceof Error);
  const { name, code, message, hint, retryAfterS } = error;
  assert.deepEqual([name, code, message, hint, retryAfterS], ["ActRefused", "conflict", "it has ended", "retry it", null]);
  assert.deepEqual([error.job.revision, error.job.derived.active], [9, false]);
  assert.ok(Object.isFrozen(error.job.result.rows));
  const busy = await two();
  assert.deepEqual([busy.code, busy.hint, busy.job, busy.retryAfterS], ["busy", null, undefined, 2.5]);
  assert.equal(jobs.get("a"), before, "the shown job changes with the hub's deltas only");
  assert.deepEqual(changes, []);
  WebSocket.last.say(refused("nobody's"));
  WebSocket.last.say(refused(null));
  assert.equal(jobs.status.state, "open");
});

test("an answer that is none ends the connection", async () => {
  for (const message of [{ ...refused("x"), code: 1 }, { ...done("x", 3), revision: "3" }, { type: "jobs:done" }]) {
    const { WebSocket, jobs } = await live();
    WebSocket.last.say(message);
    assert.equal(jobs.status.state, "closed", JSON.stringify(message));
  }
});

test("a hub that let a page in by its cookie is asked by POST", async () => {
  const posts = [], answers = [];
  const fetch = (url, { body, ...options }) => {
    posts.push({ url, ...JSON.parse(body), ...options });
    const [status, message, type = "application/json"] = answers.shift() ?? [];
    if (!status) return Promise.reject(new TypeError("no network"));
    const answer = { status, headers: new Map([["Content-Type", type]]), json: async () => JSON.parse(message) };
    return Promise.resolve(answer);
  };
  const all = await live({ url: "https://hub.example/base/", fetch }, { can: CAN, acts: "post" });
  const { WebSocket, clock, jobs } = all;
  answers.push([409, JSON.stringify(refused(null))]);
  assert.equal((await outcome(jobs.retry("b"))()).code, "conflict");
  const { req, method, credentials, headers, ...rest } = posts[0];
  assert.deepEqual(rest, { url: "https://hub.example/base/api/jobs/b/retry", attempt: 0 });
  assert.deepEqual([method, credentials, headers["Content-Type"]], ["POST", "same-origin", "application/json"]);

  answers.push([502, "<p>nginx", "text/html"], [], [200, "{"]); // none of these is the hub's
  const one = outcome(jobs.acknowledge("a", { note: "known" }));
  for (let turn = 0; turn < 3; turn++) {
    assert.equal(await one(), "waits");
    WebSocket.last.say({ type: "jobs:pong", at: clock.now(), now: "x" });
    await clock.pass(2000);
  }
  const tries = posts.slice(1);
  assert.deepEqual(new Set(tries.map(({ req }) => req)).size, 1);
  assert.deepEqual([tries.length, tries[0].note, tries[0].url], [5, "known", "https://hub.example/base/api/jobs/a/acknowledge"]);
  answers.push([200, JSON.stringify(done(tries[0].req, 2))]);
  WebSocket.last.say({ type: "jobs:pong", at: clock.now(), now: "x" });
  await clock.pass(1500);
  assert.equal(await one(), jobs.get("a"));
  assert.deepEqual([acts(WebSocket.last), jobs.status.state], [[], "open"]);

  answers.push([401, JSON.stringify({ error: "sign in first" })]);
  const { code, message } = await outcome(jobs.cancel("a"))();
  assert.deepEqual([code, message], ["forbidden", "sign in first"]);

  const lost = outcome(jobs.cancel("a"));
  await settled();
  await again(all, delta(2, 2, [], { can: CAN })); // this connection takes them itself
  assert.deepEqual([acts(WebSocket.last).length, await lost()], [1, "waits"]);
});

test("what a session may do is told with the first jobs", async () => {
  const all = await live(), { WebSocket, jobs, changes } = all;
  assert.deepEqual([jobs.status.can, jobs.can], [CAN, CAN]);
  assert.throws(() => jobs.can.push("admin"), TypeError);
  assert.ok(changes.some(({ status }) => status?.can.includes("operate")), "a listener hears of it");
  WebSocket.last.say(delta(2, 3, [job("c", 3)]));
  assert.deepEqual(jobs.can, CAN, "later ones do not repeat it");
  await again(all, delta(3, 3, [], { can: ["view"] }));
  assert.deepEqual(jobs.can, ["view"]);
  await again(all, delta(3, 3));
  assert.deepEqual(jobs.can, []);
  assert.deepEqual(jobs.getServerSnapshot().status.can, []);
});

test("a hub that knows no acts is not asked", async () => {
  const { WebSocket, jobs } = await live({}, {});
  const error = await outcome(jobs.cancel("a"))();
  assert.deepEqual([error.code, acts(WebSocket.last)], ["unsupported", []]);
  const all = await live();
  const one = outcome(all.jobs.cancel("a")), answered = outcome(all.jobs.cancel("b"));
  all.WebSocket.last.say(done(acts(all.WebSocket.last)[1].req, 3));
  await again(all, delta(2, 2));
  assert.equal((await one()).code, "unsupported", "it was replaced by an older one meanwhile");
  assert.equal(await answered(), "waits");
  all.WebSocket.last.say(delta(2, 3, [job("b", 3, { stage: "failed" })]));
  assert.equal((await answered()).stage, "failed");
});

test("an act on a job with some fields names the attempt that the hub says beside it", async () => {
  const { WebSocket, jobs } = await live();
  WebSocket.last.say(delta(2, 3, [job("c", 3)], { derived: { c: { attempt: 2 } } }));
  outcome(jobs.cancel("c"));
  await settled();
  assert.equal(WebSocket.last.of("jobs:cancel").at(-1).attempt, 2);
});

test("a job that is not shown is asked for by its attempt only", async () => {
  const { WebSocket, jobs } = await live();
  const error = await outcome(jobs.cancel("nobody"))();
  assert.deepEqual([error.code, acts(WebSocket.last)], ["gone", []]);
  jobs.cancel("nobody", { attempt: 2 });
  assert.equal(acts(WebSocket.last)[0].attempt, 2);
});

for (const [how, end, message] of [
  ["close()", ({ jobs }) => jobs.close(), /^the connection was closed; .*not known/],
  ["a refusal for good", ({ WebSocket }) => WebSocket.last.end(4401, "wrong token"), /^wrong token; .*not known/],
]) {
  test(`${how} ends what is not answered, and nothing is sent later`, async () => {
    const all = await live(), { WebSocket, jobs } = all;
    const one = outcome(jobs.cancel("a"));
    end(all);
    const error = await one();
    assert.equal(error.code, "closed");
    assert.match(error.message, message);
    const later = await outcome(jobs.cancel("a"))();
    assert.equal(later.code, "closed");
    assert.doesNotMatch(later.message, /not known/, "it was never sent");
    jobs.reconnect();
    await settled();
    WebSocket.last.open();
    WebSocket.last.say(delta(2, 2, [], { can: CAN }));
    assert.deepEqual(acts(WebSocket.last), []);
  });
}

test("an act can be given up", async () => {
  const all = await live(), { WebSocket, jobs } = all, stop = new AbortController();
  const one = outcome(jobs.cancel("a", { signal: stop.signal }));
  stop.abort("enough");
  assert.equal(await one(), "enough");
  assert.equal(await outcome(jobs.retry("a", { signal: stop.signal }))(), "enough");
  await again(all);
  assert.deepEqual(acts(WebSocket.last), []);
});

test("while everything is read anew it waits for the end of that", async () => {
  const { WebSocket, jobs } = await live();
  const one = outcome(jobs.cancel("a"));
  WebSocket.last.say(done(acts(WebSocket.last)[0].req, 4));
  WebSocket.last.say(delta(0, 6, [job("a", 4, { stage: "failed" })], { more: true }));
  assert.deepEqual([await one(), jobs.get("a").stage], ["waits", "load"]);
  WebSocket.last.say(delta(6, 7, [job("b", 7)]));
  assert.equal((await one()).stage, "failed");
});

test("an answer by a revision counter that is not read yet waits for it", async () => {
  const { WebSocket, jobs } = await live();
  const one = outcome(jobs.cancel("a"));
  WebSocket.last.say(done(acts(WebSocket.last)[0].req, 1, "e2"));
  WebSocket.last.say(delta(2, 9, [job("b", 9)]));
  assert.equal(await one(), "waits");
  WebSocket.last.say(delta(0, 1, [job("a", 1, { stage: "failed" })], { epoch: "e2" }));
  assert.equal((await one()).stage, "failed");
});

test("an answer by a counter that has been replaced is done with the next complete read", async () => {
  const { WebSocket, jobs } = await live();
  const one = outcome(jobs.cancel("a"));
  WebSocket.last.say(done(acts(WebSocket.last)[0].req, 100));
  WebSocket.last.say(delta(0, 1, [job("a", 1, { stage: "failed" })], { epoch: "e2", more: true }));
  assert.equal(await one(), "waits");
  WebSocket.last.say(delta(1, 2, [], { epoch: "e2" }));
  assert.equal((await one()).stage, "failed");
});

test("where there is no window an act is refused", async () => {
  const error = await outcome(connect({ url: "http://hub.example" }).cancel("a", { attempt: 0 }))();
  assert.equal(error.code, "closed");
});
