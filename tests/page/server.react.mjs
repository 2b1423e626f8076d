// A page in React as a server renders it: prints the HTML.

import { createElement as make } from "react";
import { renderToString } from "react-dom/server";
import { JobProvider, useJob, useJobs, useNow } from "./react.js";

function List() {
  const { jobs, active, status, can, stalled, watched } = useJobs();
  const said = [jobs.length, active, status.state, can.length, stalled().length, watched.length];
  return make("p", null, `${said.join()} ${useJob("a")?.stage ?? "none"} ${useNow() > 1e12}`);
}
console.log(renderToString(make(JobProvider, { url: "http://127.0.0.1:1" }, make(List))));
try {
  renderToString(make(List));
} catch ({ message }) {
  console.log(message);
}
