// What the declarations allow, and what they do not; compiled by tsc, never run.

import { ActRefused, connect, isStalled, type Change, type Job } from "./client.js";

const jobs = connect({ url: "http://127.0.0.1:8765", filter: { type: ["etl"], active: true }, token: async () => "x" });
const one: Job | undefined = jobs.get("a");
const stage: string = (await jobs.until("a", "completed")).stage;
const stop: () => void = jobs.subscribe((change: Change) => change.jobs.map((job) => job.derived.lost));
for await (const { gone } of jobs) gone.includes(stage);
if (one && isStalled(one, jobs.now())) stop();

// @ts-expect-error a job is not changed by hand
jobs.all()[0].stage = "x";
// @ts-expect-error no such key of a filter
connect({ filter: { colour: "red" } });
const removed: undefined = await jobs.until("a", "gone");
const wantsToken: boolean = jobs.status.needsToken;
connect({ filter: { session: undefined, id: ["a", undefined] as const } });

const cancelled: Job | undefined = await jobs.cancel("a", { reason: "too slow", attempt: 1 });
if (jobs.can.includes("operate")) await jobs.retry(cancelled?.id ?? "a").then(() => jobs.remove("a"));
try {
  await jobs.retry("a", { signal: AbortSignal.timeout(1000) });
} catch (error) {
  if (error instanceof ActRefused && error.code === "conflict") error.job?.stage;
}
// @ts-expect-error only a cancellation has a reason
jobs.retry("a", { reason: "why" });
