// What the declarations for Solid allow, and what they do not; compiled by tsc with the types of
// Solid 1.9 and of 2, never run.

import { For, Show } from "solid-js";
import { connect, type Job } from "./client.js";
import { JobProvider, createJobs, useJobs } from "solid-jobs";

const signals = createJobs(connect({ url: "/" }));
const stage: string | undefined = signals.job("a")?.stage;
signals.release();

function Card(props: { job: Job | undefined }) {
  const { active, can, cancel, now, watch, watched } = useJobs();
  const end = async () => {
    const ended: Job | undefined = await cancel("a", { reason: "too slow" });
    return ended?.stage;
  };
  // @ts-expect-error a job may have gone
  props.job.stage;
  // @ts-expect-error it is a signal
  watched.includes("a");
  return (
    <li title={String(active())} onClick={() => watch("a")}>
      {props.job?.title ?? now()} {watched().length}
      <Show when={can().includes("operate")}><button onClick={end}>Cancel</button></Show>
    </li>
  );
}

const List = () => <For each={useJobs().ids()}>{(id) => <Card job={useJobs().job(id)} />}</For>;
export const page = () => (
  <JobProvider url="/jobs" filter={{ type: "etl" }} token={async () => "t"} rest={false}><List />{stage}</JobProvider>
);
// @ts-expect-error no such option
export const wrong = () => <JobProvider address="/jobs" />;
