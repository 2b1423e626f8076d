// Boards of the dashboard, one per line: what they say of the jobs of that line.

import { createInterface } from "node:readline";
import { knownMs } from "../../jobctl/page/client.js";
import { Board } from "../../jobctl/page/dashboard/board.js";
import { ago, describe, percentOf, stagesOf, wholeSeconds, timesOf } from "../../jobctl/page/dashboard/model.js";

const NONE = { label: null, stalledMs: null, expectMs: null, usualMs: null, stages: [] };
const VIEW = { q: "", show: null, sort: null };

for await (const line of createInterface({ input: process.stdin })) {
  const { steps, nowMs, pipelines } = JSON.parse(line);
  const pipelineOf = (type) => (Object.hasOwn(pipelines, type) ? pipelines[type] : NONE);
  const board = new Board({ pipelineOf, view: VIEW });
  for (const change of steps) board.update(change, nowMs);
  const fresh = new Board({ pipelineOf, view: VIEW });
  const jobs = board.ids().map((id) => board.job(id));
  fresh.replace([...board._jobs.values()].reverse(), nowMs);
  const told = ({ order }) => order.ids().map((id) => [id, order.depth(id), order.worker(id).stage]);
  console.log(JSON.stringify({
    rows: told(board), fresh: told(fresh), counts: board.counts,
    jobs: Object.fromEntries([...board._jobs].map(([id, job]) => [id, {
      kind: board.kind(id), percent: percentOf(job, stagesOf(job, pipelineOf)),
      ago: ago(knownMs(job.createdAt), nowMs), took: wholeSeconds(timesOf(job, nowMs).took),
      strip: describe(job, job, board.kind(id), pipelineOf).strip.stages.map(({ state }) => state),
    }])),
    size: jobs.length,
  }));
}
