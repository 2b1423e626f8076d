// The timeline: one bar for each attempt, all on one scale, and the stages with their times below.

import { make, setAttribute, Text } from "./dom.js";
import { ago, duration, exactTime, isActive, stagesOf, wholeSeconds } from "./model.js";
import { attemptsOf, placeOf, scaleOf, ticksOf } from "./timeline.js";

const OUTCOMES = { completed: "completed", failed: "failed", cancelled: "cancelled", lost: "lost", "": "" };

export class TimelineView {
  constructor(context) {
    this._context = context;
    this._rows = make("div", { class: "tl-rows" });
    this._axis = make("div", { class: "tl-axis", "aria-hidden": "true" });
    this._list = make("tbody");
    const head = make("thead", {}, make("tr", {}, ...["Stage", "Began", "Took"].map((name) => make("th", { scope: "col" }, name))));
    this._table = make("table", { class: "tl-table" }, make("caption", { class: "for-readers" }, "Stages and their times"), head, this._list);
    this.element = make("section", { class: "card timeline", "aria-labelledby": "timeline-title" },
      make("h3", { id: "timeline-title" }, "Timeline"), make("div", { class: "tl-chart" }, this._rows, this._axis), this._table);
    this._key = "";
    this._spans = [];
  }

  draw(job, now, kind) {
    const attempts = attemptsOf(job, now), scaleMs = scaleOf(attempts);
    const labels = new Map(stagesOf(job, this._context.pipelineOf).map(({ name, label }) => [name, label]));
    const labelOf = (stage) => labels.get(stage) ?? stage;
    const key = JSON.stringify([attempts.map(({ number, outcome, spans }) => [number, outcome, spans.map(({ stage, fromMs }) => [stage, fromMs])]), [...labels]]);
    if (key !== this._key) {
      this._key = key;
      this._build(attempts, labelOf);
    }
    const active = isActive(job) && kind !== "lost";
    attempts.forEach((attempt, place) => {
      const row = this._attempts[place], isLast = place === attempts.length - 1;
      const tookMs = attempt.endedMs - attempt.beganMs, goesOn = isLast && active;
      row.took.set(tookMs >= 0 ? (goesOn ? wholeSeconds(tookMs) : duration(tookMs)) : "");
      attempt.spans.forEach((span, at) => {
        const { bar, took, began } = row.spans[at], isNow = goesOn && at === attempt.spans.length - 1;
        const where = placeOf(span, attempt, scaleMs), ms = span.toMs - span.fromMs;
        const time = ms >= 0 ? (isNow ? wholeSeconds(ms) : duration(ms)) : "";
        bar.hidden = where === null;
        if (where !== null) {
          bar.style.left = `min(${100 * where.start}%, 100% - 4px)`; // short ones are seen too
          bar.style.width = `${100 * where.size}%`;
        }
        setAttribute(bar, "title", `${labelOf(span.stage)}${time && `: ${time}`}`);
        const isEnd = at === attempt.spans.length - 1;
        setAttribute(bar, "data-kind", isNow ? (span.stage === "pending" ? "pending" : kind) : span.stage === "pending" ? "pending"
          : isEnd && attempt.outcome !== "completed" && attempt.outcome ? attempt.outcome : "completed");
        took.set(time);
        began.set(ago(span.fromMs, now));
      });
    });
    this._drawAxis(scaleMs);
  }

  _drawAxis(scaleMs) {
    const ticks = ticksOf(scaleMs);
    const key = ticks.join();
    if (key !== this._ticksKey) {
      this._ticksKey = key;
      this._axis.replaceChildren(...ticks.map((ms) => make("span", {}, duration(ms).replace(/(\d[smh])00[sm]$|(\dd)00h$/, "$1$2"))));
    }
    ticks.forEach((ms, at) => (this._axis.children[at].style.left = `${(100 * ms) / scaleMs}%`));
  }

  _build(attempts, labelOf) {
    const several = attempts.length > 1;
    this._attempts = [];
    const bars = [], lines = [];
    for (const { number, outcome, spans } of attempts) {
      const took = make("span", { class: "tl-took" });
      const held = { took: new Text(took), spans: [] };
      const track = make("div", { class: "tl-track", "aria-hidden": "true" });
      if (several) {
        lines.push(make("tr", { class: "tl-attempt" }, make("th", { scope: "rowgroup", colspan: "3" },
          `Attempt ${number}${outcome ? `, ${OUTCOMES[outcome] ?? outcome}` : ""}`)));
      }
      spans.forEach(({ stage, fromMs, by, via }, at) => {
        const bar = make("span", { class: "tl-span", "data-odd": at % 2 ? "yes" : "no" }, make("span", {}, labelOf(stage)));
        track.append(bar);
        const time = make("time", { title: exactTime(fromMs) }), took = make("td"), who = [by, via].filter(Boolean).join(" via ");
        lines.push(make("tr", {}, make("td", {}, labelOf(stage), ...(who ? [make("span", { class: "fact-note" }, who)] : [])), make("td", {}, time), took));
        held.spans.push({ bar, took: new Text(took), began: new Text(time) });
      });
      const name = several ? `Attempt ${number}` : "";
      bars.push(make("div", { class: "tl-row", "data-outcome": outcome || "open" },
        make("span", { class: "tl-name" }, name, ...(several && outcome ? [make("small", {}, OUTCOMES[outcome] ?? outcome)] : [])), track, took));
      this._attempts.push(held);
    }
    this._rows.replaceChildren(...bars);
    setAttribute(this.element, "data-several", several ? "yes" : "no");
    this._list.replaceChildren(...lines);
  }
}
