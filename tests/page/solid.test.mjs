// Solid's signals over the client; the same for 1.9 and 2.

import assert from "node:assert/strict";
import test from "node:test";
import * as solid from "solid-js";
import { connect } from "./client.js";
import { JobProvider, createJobs, useJobs } from "./solid.js";
import { FakeClock, FakePage, delta, fakeSockets, job, settled } from "./fakes.mjs";

const { createComponent, createEffect, createRoot } = solid;

/** Runs `read` whenever what it reads has changed; returns the values. */
function watched(read) {
  const values = [];
  createEffect(() => (values.push(read()), values.length), () => {}); // Solid 2 wants two functions
  return values;
}

async function opened(use) {
  const clock = new FakeClock(), window = new FakePage(), WebSocket = fakeSockets();
  const client = connect({ clock, window, WebSocket });
  await settled();
  WebSocket.last.open();
  const found = createRoot((dispose) => {
    const jobs = createJobs(client);
    return { jobs, dispose, ...use?.(jobs) };
  });
  WebSocket.last.say(delta(0, 3, [
    job("a", 1, { sessionId: "s" }), job("b", 2, { stage: "pending" }), job("c", 3, { stage: "completed" }),
  ]));
  await settled();
  return { clock, WebSocket, client, ...found };
}

test("only what reads a changed job runs again", async () => {
  const all = await opened((jobs) => ({
    a: watched(() => jobs.job("a")?.stage), b: watched(() => jobs.job("b")?.stage),
    ids: watched(() => jobs.ids().join()), active: watched(() => jobs.active()),
  }));
  assert.deepEqual([all.a, all.b, all.ids], [[undefined, "load"], [undefined, "pending"], ["", "a,b,c"]]);
  all.WebSocket.last.say(delta(3, 5, [job("a", 4, { stage: "save" }), job("c", 5, { stage: "completed" })]));
  await settled();
  assert.deepEqual([all.a.slice(2), all.b.slice(2), all.ids.slice(2)], [["save"], [], []]);
  all.WebSocket.last.say(delta(5, 7, [job("d", 6)], { gone: ["b"] }));
  await settled();
  assert.deepEqual([all.b.slice(2), all.ids.slice(2)], [[undefined], ["a,c,d"]]);
  assert.equal(all.active.at(-1), 2);
});

test("one delta is one batch", async () => {
  const all = await opened((jobs) => ({
    both: watched(() => [jobs.job("a")?.revision, jobs.job("b")?.revision, jobs.counts().total].join()),
  }));
  all.both.length = 0;
  all.WebSocket.last.say(delta(3, 6, [job("a", 4), job("b", 5), job("e", 6)]));
  await settled();
  assert.deepEqual(all.both, ["4,5,4"]);
});

test("jobs keep their identity until they change", async () => {
  const { jobs, WebSocket } = await opened();
  const [a, b] = [jobs.job("a"), jobs.job("b")];
  WebSocket.last.say(delta(3, 4, [job("a", 4)]));
  await settled();
  assert.notEqual(jobs.job("a"), a);
  assert.equal(jobs.job("b"), b);
  assert.equal(jobs.jobs()[1], b);
});

test("jobs by session, stalled ones, and those that somebody watches", async () => {
  const { clock, jobs, WebSocket } = await opened();
  assert.deepEqual(jobs.bySession("s").map(({ id }) => id), ["a"]);
  const at = new Date(clock.now()).toISOString();
  WebSocket.last.say(delta(3, 4, [job("a", 4, { createdAt: at, stageStartedAt: at })]));
  await settled();
  assert.deepEqual(jobs.stalled().map(({ id }) => id), []);
  await clock.pass(61000);
  assert.deepEqual(jobs.stalled().map(({ id }) => id), ["a"], "a pending or ended one never is");
  assert.deepEqual(jobs.stalled(120000), []);
  jobs.watch("a");
  jobs.watch("b");
  jobs.watch("a");
  jobs.unwatch("b");
  await settled();
  assert.deepEqual(jobs.watched(), ["a"]);
});

test("a provider hands the jobs down, and closes what it has opened", async () => {
  const window = new FakePage(), WebSocket = fakeSockets(), clock = new FakeClock();
  let seen;
  const dispose = createRoot((end) => {
    createComponent(JobProvider, {
      url: "http://hub.example", window, WebSocket, clock,
      get children() {
        seen = useJobs();
        return null;
      },
    })?.();
    return end;
  });
  await settled();
  assert.equal(WebSocket.made.length, 1);
  assert.equal(seen.status().state, "connecting");
  dispose();
  await settled();
  assert.equal(seen.client.status.state, "idle");
});

test("without a provider it says so", () => {
  createRoot(() => assert.throws(() => useJobs()));
});
