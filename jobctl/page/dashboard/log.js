// A job's log, followed while it grows. At most MAX_LINES of it are shown, the newest ones; the
// element scrolls along only while its end is in sight.

import { classesOf, PLAIN, split } from "./ansi.js";
import { make, Text } from "./dom.js";

export const MAX_LINES = 2000;
const MAX_LINE = 4000; // characters of a line that are shown
const AGAIN_MS = 2000, MAX_AGAIN_MS = 30000; // before a stream that was cut is read again
const DRAW_MS = 100; // between two times of drawing, or longer, so that a fast log costs a fifth of the time
const NEAR_PX = 24; // from the end counts as the end

/** The text that came, as lines; the last one may still grow. Keeps at most `max` of them. Pure. */
export class Lines {
  constructor(max = MAX_LINES) {
    this._max = max;
    this._open = ""; // the line that has no end yet
    this._openSize = 0;
    this.left = 0; // lines that were left out
  }

  /** The text of the line that has no end yet. */
  get open() {
    return shortened(this._open, this._openSize);
  }

  /** Take a piece; returns the lines that are complete now, the newest `max` at most. */
  take(text) {
    const parts = text.split("\n");
    const complete = [];
    for (const part of parts.slice(0, -1)) {
      this._grow(part);
      complete.push(this.open);
      this._open = "";
      this._openSize = 0;
    }
    this._grow(parts.at(-1));
    const over = complete.length - this._max;
    if (over > 0) this.left += over;
    return over > 0 ? complete.slice(over) : complete;
  }

  _grow(part) {
    this._openSize += part.length;
    if (this._open.length < MAX_LINE) this._open += part.slice(0, MAX_LINE - this._open.length);
  }
}

function shortened(text, size) {
  return size > text.length ? `${text} … ${size - text.length} more characters` : text;
}

/** The element, and the stream behind it. `show(job)` begins; `close()` ends. */
export class Log {
  constructor({ base }) {
    this._base = base;
    this._id = null;
    this._abort = null;
    this._timer = 0;
    this._tries = 0;
    this._said = make("p", { class: "log-said", role: "status" });
    this._saidText = new Text(this._said);
    this._left = make("p", { class: "log-left", hidden: true });
    this._leftText = new Text(this._left);
    this._body = make("div", { class: "log-lines" });
    this._box = make("div", { class: "log-box", tabindex: "0", role: "log", "aria-live": "off", "aria-label": "Log" },
      this._left, this._body);
    this._whole = make("a", { target: "_blank", rel: "noopener", class: "quiet" }, "Whole log as text");
    this._toEnd = make("button", { type: "button", class: "to-end", hidden: true }, "↓ ");
    this._toEndText = new Text(this._toEnd);
    this._times = make("input", { type: "checkbox", id: "log-times" });
    const times = make("label", { for: "log-times" }, this._times, " Times");
    this.element = make("section", { class: "card log", "aria-labelledby": "log-title", hidden: true },
      make("div", { class: "card-head" }, make("h3", { id: "log-title" }, "Log"), this._said, times, this._whole),
      make("div", { class: "log-frame" }, this._box, this._toEnd));
    this._box.addEventListener("scroll", () => this._isAtEnd() && this._seen());
    this._toEnd.addEventListener("click", () => {
      this._scrollToEnd();
      this._box.focus();
    });
    this._times.addEventListener("change", () => this._read());
    this._fresh();
  }

  /** Show the log of this job, which has one or may get one. The next attempt is read as well. */
  show(job, isOver) {
    this._isOver = isOver;
    this.element.hidden = false;
    const key = `${job.id} ${job.retryCount ?? 0}`;
    if (key === this._key) return;
    this._key = key;
    this._id = job.id;
    this._whole.href = this._address({});
    this._read();
  }

  focus() {
    this._box.focus();
  }

  close() {
    clearTimeout(this._timer);
    this._abort?.abort();
    this._abort = null;
  }

  _address(query) {
    const search = new URLSearchParams(query);
    return `${this._base}/api/jobs/${encodeURIComponent(this._id)}/log${search.size ? `?${search}` : ""}`;
  }

  async _read() {
    this.close();
    const abort = this._abort = new AbortController();
    const query = { follow: 1, tail: MAX_LINES };
    if (this._times.checked) query.timestamps = 1;
    this._saidText.set("reading");
    try {
      const answer = await fetch(this._address(query), { signal: abort.signal, cache: "no-store" });
      if (abort.signal.aborted) return;
      if (!answer.ok) {
        const text = (await answer.text()).trim();
        if (answer.status >= 500 || answer.status === 429) return this._again(text);
        this._fresh();
        this.element.dataset.none = "yes";
        return this._saidText.set(text || `refused (${answer.status})`);
      }
      this._fresh();
      this._tries = 0;
      this._saidText.set(this._isOver ? "" : "live");
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      for (;;) {
        const { done, value } = await reader.read();
        if (abort.signal.aborted) return;
        if (done) break;
        this._take(value);
      }
      this._drawSoon();
      this._saidText.set("complete");
      // The hub ends the stream with the job; with the hub itself it ends before.
      this._timer = setTimeout(() => !this._isOver && this._read(), AGAIN_MS);
    } catch (error) {
      if (!abort.signal.aborted) this._again("interrupted");
    }
  }

  _again(why) {
    this._saidText.set(`${why}; reading again`);
    const ms = Math.min(MAX_AGAIN_MS, AGAIN_MS * 2 ** Math.min(this._tries++, 8));
    this._timer = setTimeout(() => this._read(), ms * (0.5 + Math.random() / 2));
  }

  // -- the lines

  _fresh() {
    this._lines = new Lines();
    this._waiting = [];
    this._style = PLAIN;
    this._new = 0;
    this._body.replaceChildren();
    this._openLine = null;
    this.element.dataset.none = "no";
    this._left.hidden = true;
    this._toEnd.hidden = true;
    this._follows = true;
  }

  _take(text) {
    for (const line of this._lines.take(text)) this._waiting.push(line);
    const over = this._waiting.length - MAX_LINES;
    if (over > 0) {
      this._waiting.splice(0, over);
      this._lines.left += over;
    }
    this._drawSoon();
  }

  _drawSoon() {
    if (this._isDrawing) return;
    this._isDrawing = true;
    const draw = () => {
      this._isDrawing = false;
      const began = performance.now();
      this._draw();
      this._drawnAt = performance.now();
      this._pauseMs = Math.max(DRAW_MS, 4 * (this._drawnAt - began));
    };
    // A hidden tab has no frames, and nobody looks at it.
    const waitMs = Math.max(0, (this._pauseMs ?? 0) - (performance.now() - (this._drawnAt ?? 0)));
    setTimeout(() => (document.hidden ? draw() : requestAnimationFrame(draw)), waitMs);
  }

  _draw() {
    const wasAtEnd = this._follows || this._isAtEnd();
    const fragment = document.createDocumentFragment();
    this._openLine?.remove();
    this._openLine = null;
    for (const line of this._waiting) fragment.append(this._lineOf(line));
    this._new += this._waiting.length;
    this._waiting = [];
    if (this._lines.open) {
      const before = this._style; // the line is drawn again when it is complete
      fragment.append((this._openLine = this._lineOf(this._lines.open)));
      this._style = before;
    }
    this._body.append(fragment);
    for (let over = this._body.childElementCount - MAX_LINES; over > 0; over--) {
      this._body.firstChild.remove();
      this._lines.left += 1;
    }
    this._left.hidden = !this._lines.left && this._body.childElementCount < MAX_LINES;
    this._leftText.set(`The last ${MAX_LINES} lines are shown.`);
    if (wasAtEnd) this._scrollToEnd();
    else if (this._new) {
      this._toEnd.hidden = false;
      this._toEndText.set(this._new === 1 ? "1 new line" : `${this._new} new lines`);
    }
  }

  _lineOf(text) {
    const { pieces, style } = split(text, this._style);
    this._style = style;
    const line = make("div", { class: "line" });
    for (const piece of pieces) {
      const classes = classesOf(piece.style);
      line.append(classes ? make("span", { class: classes }, piece.text) : piece.text);
    }
    if (!pieces.length) line.append("\u200b"); // an empty line has its height
    return line;
  }

  _isAtEnd() {
    const { scrollTop, clientHeight, scrollHeight } = this._box;
    return scrollHeight - scrollTop - clientHeight <= NEAR_PX;
  }

  _seen() {
    this._new = 0;
    this._toEnd.hidden = true;
  }

  _scrollToEnd() {
    this._box.scrollTop = this._box.scrollHeight;
    this._follows = false; // from here on it depends on where the reader has scrolled
    this._seen();
  }
}
