// Reads all jobs with Node's WebSocket, or with the class that npm's ws exports:
// read.mjs (node | ws) URL [SUBPROTOCOL]
const [kind, url, ...protocols] = process.argv.slice(2);
const Socket = kind === "ws" ? (await import("ws")).WebSocket : WebSocket;
const connection = new Socket(url, protocols);
let jobs = 0, largest = 0;
const end = (said) => {
  console.log(JSON.stringify(said));
  process.exit();
};
connection.onmessage = ({ data }) => {
  const message = JSON.parse(data);
  if (message.type !== "jobs:delta") return;
  jobs += message.jobs.length;
  largest = Math.max(largest, Buffer.byteLength(data));
  if (!message.more) end({ jobs, largest });
};
connection.onerror = (event) => end({ error: String(event.message ?? "failed") });
connection.onclose = ({ code }) => end({ error: `closed: ${code}` });
setTimeout(() => end({ error: "no answer" }), 20_000);
