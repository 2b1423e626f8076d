// The client against a real hub: prints what it holds, as JSON, for each line of standard input.

import { createInterface } from "node:readline";
import { connect } from "./client.js";

const [url, token, fields] = process.argv.slice(2);
const jobs = connect({
  url, token, fields: fields === undefined ? null : fields.split(","), WebSocket: globalThis.WebSocket,
});
for await (const line of createInterface({ input: process.stdin })) {
  const [word, id, what] = line.split(" ");
  if (word === "until") {
    const said = await jobs.until(id, what).then((job) => job.stage ?? null, (error) => error.message);
    console.log(JSON.stringify(said));
  } else if (["cancel", "retry", "remove", "acknowledge"].includes(word)) {
    const said = await jobs[word](id, what ? JSON.parse(what) : {}).then(
      (job) => job ?? null, ({ code, message, job }) => ({ code, message, job: job ?? null }));
    console.log(JSON.stringify(said));
  } else {
    const all = Object.fromEntries(jobs.all().map((job) => [job.id, job]));
    console.log(JSON.stringify({ jobs: all, counts: jobs.counts, status: jobs.status }));
  }
}
jobs.close();
