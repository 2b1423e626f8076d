// An indicator with a count, a panel and cards, as an application has them; for Solid 1.9 and 2.

import { For, Show, createSignal } from "solid-js";
// The build says which: solid-js/web or @solidjs/web, solid.js or solid2.js.
import { render } from "solid-web";
import { beganMs, endedMs, isStalled, lastStage } from "./client.js";
import { JobProvider, useJobs } from "solid-jobs";

const seconds = (ms) => `${Math.max(0, Math.round(ms / 1000))}s`;

/** Of the present stage, from 0 to 1; null if the job does not say. */
function share({ progress }) {
  if (typeof progress === "number") return progress / 100;
  return progress?.total ? progress.done / progress.total : null;
}

function Indicator() {
  const { active, status } = useJobs();
  return <button id="indicator" data-state={status().state} title={status().detail}>{active()}</button>;
}

function Strip(props) {
  const at = () => props.stages.indexOf(lastStage(props.job));
  return (
    <ol class="strip">
      <For each={props.stages}>
        {(stage, index) => <li data-at={index() < at() ? "done" : index() === at() ? "now" : "next"}>{stage}</li>}
      </For>
    </ol>
  );
}

function Card(props) {
  const { cancel, can, now, watch, watched } = useJobs();
  const [said, setSaid] = createSignal("");
  const elapsed = () => endedMs(props.job, now()) - beganMs(props.job);
  const left = () => (share(props.job) ? (elapsed() * (1 - share(props.job))) / share(props.job) : null);
  const end = () => cancel(props.job.id, { reason: "by hand" }).then(() => setSaid("done"), ({ code }) => setSaid(code));
  return (
    <article id={props.job.id} data-stage={props.job.stage}>
      <h2>{props.job.title ?? props.job.id}</h2>
      <Strip job={props.job} stages={props.job.stages ?? []} />
      <Show when={share(props.job) !== null}><progress value={share(props.job)} /></Show>
      <span class="elapsed">{seconds(elapsed())}</span>
      <Show when={props.job.derived.active && left() !== null}><span class="eta">{seconds(left())} left</span></Show>
      <Show when={isStalled(props.job, now())}><strong class="stalled">no news for over a minute</strong></Show>
      <Show when={props.job.derived.active && can().includes("operate")}>
        <button class="cancel" onClick={end}>Cancel</button>
      </Show>
      <button class="pin" onClick={() => watch(props.job.id)}>{watched().includes(props.job.id) ? "pinned" : "pin"}</button>
      <output>{said()}</output>
    </article>
  );
}

function Panel() {
  const { ids, job } = useJobs();
  return (
    <section id="panel">
      <For each={ids()} fallback={<p>No jobs.</p>}>{(id) => <Card job={job(id)} />}</For>
    </section>
  );
}

export function App(props) {
  return (
    <JobProvider url={props.url} token={props.token}>
      <Indicator />
      <Panel />
    </JobProvider>
  );
}

export const show = (root, url, token) => render(() => <App url={url} token={token} />, root);
