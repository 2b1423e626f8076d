// Usual durations by the dashboard's module: one line has the changes and the jobs to judge.

import { createInterface } from "node:readline";
import { UsualDurations } from "../../jobctl/page/dashboard/usual.js";

for await (const line of createInterface({ input: process.stdin })) {
  const { batches, asked, pipelines } = JSON.parse(line);
  const usual = new UsualDurations((type) => pipelines[type] ?? { usualMs: null });
  const answers = batches.map((jobs) => {
    usual.take(jobs);
    return asked.map((job) => [usual.band(job), usual.text(job)]);
  });
  console.log(JSON.stringify(answers));
}
