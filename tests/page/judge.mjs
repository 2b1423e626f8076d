// Judges the jobs that come as lines of JSON, for a comparison with Python's answers.

import { createInterface } from "node:readline";
import * as client from "../../jobctl/page/client.js";

const known = (ms) => (Number.isNaN(ms) ? null : ms);

for await (const line of createInterface({ input: process.stdin, crlfDelay: Infinity })) {
  const { job, nowMs } = JSON.parse(line); // with what a client puts beside it
  console.log(JSON.stringify({
    cancelled: client.isCancelled(job),
    cancellation: client.cancellation(job),
    acknowledged: client.isAcknowledged(job),
    recorded: client.isRecordedAttempt(job),
    moved: client.movedByOthers(job),
    entered: known(client.enteredMs(job)),
    began: known(client.beganMs(job)),
    ended: known(client.endedMs(job, nowMs)),
    stalled: client.isStalled(job, nowMs, 60000),
    lastStage: client.lastStage(job),
    program: client.programOf(job),
  }));
}
