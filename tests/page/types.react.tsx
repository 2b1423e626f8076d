// What the declarations for React allow, and what they do not; compiled by tsc, never run.

import { createRoot } from "react-dom/client";
import { type Job } from "./client.js";
import { JobProvider, useClient, useJob, useJobs, useNow } from "./react.js";

function Card({ id }: { id: string }) {
  const job: Job | undefined = useJob(id);
  const now: number = useNow();
  const { active, bySession, can, cancel, counts, jobs, refresh, stalled, status, unwatch, watch, watched } = useJobs();
  const end = async () => {
    const ended: Job | undefined = await cancel(id, { reason: "too slow" });
    return ended?.stage;
  };
  // @ts-expect-error a job may have gone
  job.stage;
  // @ts-expect-error the list is not changed by hand
  jobs.push(job);
  return (
    <li title={status.detail} onClick={() => (watched.includes(id) ? unwatch(id) : watch(id))}>
      {active + counts.failed + bySession("s").length + stalled(null).length} {job?.title ?? now}
      {can.includes("operate") && <button onClick={end}>Cancel</button>}
      <button onClick={refresh}>{useClient().now()}</button>
    </li>
  );
}

createRoot(document.body).render(
  <JobProvider url="/jobs" filter={{ type: "etl" }} token={async () => "t"} rest={false}><Card id="a" /></JobProvider>,
);
// @ts-expect-error no such option
const wrong = <JobProvider address="/jobs" />;
