// A page as the original program's: a Solid store that merges, a reconnecting socket, toasts for
// jobs whose end it sees. It knows no deletion. "dump" on standard input prints what it shows.
import { createInterface } from "node:readline";
import { createStore, unwrap } from "solid-js/store";

const url = process.argv[2];
const ENDED = ["completed", "failed"];
const [state, setState] = createStore({ jobs: {}, connected: false });
const seen = { toasts: [], opens: 0, inits: 0, updates: 0 };

function take(job) {
  const before = state.jobs[job.id];
  if (before && !ENDED.includes(before.stage) && ENDED.includes(job.stage)) {
    seen.toasts.push([job.id, job.stage, job.error]);
  }
  setState("jobs", job.id, job); // merges: keys that the newer version lacks stay
}

function connect() {
  const socket = new WebSocket(url);
  socket.onopen = () => {
    seen.opens += 1;
    setState("connected", true);
  };
  socket.onmessage = ({ data }) => {
    const message = JSON.parse(data);
    if (message.type === "jobs:init") {
      seen.inits += 1;
      message.jobs.forEach(take);
    } else if (message.type === "jobs:update") {
      seen.updates += 1;
      take(message.job);
    } else {
      throw new Error(`unknown: ${data}`); // a type that it did not ask for
    }
  };
  let over = false;
  // Node 20 fires no close where the connection was refused, only an error.
  socket.onclose = socket.onerror = () => {
    if (over) return;
    over = true;
    setState("connected", false);
    setTimeout(connect, 50 + 50 * Math.random());
  };
}

connect();
for await (const line of createInterface({ input: process.stdin })) {
  console.log(JSON.stringify({ ...seen, connected: state.connected, jobs: unwrap(state.jobs) }));
}
process.exit(0);
