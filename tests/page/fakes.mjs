// A clock that the test moves, a page and sockets that the test plays: for client.test.mjs.

export class FakeClock {
  constructor() {
    this.time = 1_790_000_000_000;
    this.timers = [];
    this.chance = 0.5;
    this.now = () => this.time;
    this.random = () => this.chance;
    this.set = (action, ms) => {
      const timer = { at: this.time + ms, action };
      this.timers.push(timer);
      return timer;
    };
    this.clear = (timer) => (this.timers = this.timers.filter((one) => one !== timer));
  }

  /** Move on; timers run at their times, or all at the end, as after a sleep. */
  async pass(ms, { asleep = false } = {}) {
    const end = this.time + ms;
    if (asleep) this.time = end;
    while (true) {
      this.timers.sort((a, b) => a.at - b.at);
      if (!this.timers.length || this.timers[0].at > end) break;
      const { at, action } = this.timers.shift();
      this.time = Math.max(this.time, at);
      action();
      await settled();
    }
    this.time = end;
    await settled();
  }
}

export const settled = () => new Promise((resolve) => setImmediate(resolve));

export class FakePage extends EventTarget {
  constructor() {
    super();
    this.location = { href: "http://hub.example/app/" };
    this.document = new EventTarget();
    this.document.visibilityState = "visible";
  }

  show(visibilityState) {
    this.document.visibilityState = visibilityState;
    this.document.dispatchEvent(new Event("visibilitychange"));
  }

  tell(type, more = {}) {
    this.dispatchEvent(Object.assign(new Event(type), more));
  }
}

/** A class of sockets that lists those that were made. */
export function fakeSockets() {
  return class FakeSocket {
    static made = [];

    constructor(url, subprotocol) {
      Object.assign(this, { url: new URL(url), subprotocol, readyState: 0, sent: [], closed: false });
      this.constructor.made.push(this);
    }

    static get last() {
      return this.made.at(-1);
    }

    open() {
      this.readyState = 1;
      this.onopen?.({});
    }

    say(message) {
      this.onmessage?.({ data: typeof message === "string" ? message : JSON.stringify(message) });
    }

    end(code = 1006, reason = "") {
      this.readyState = 3;
      this.onclose?.({ code, reason });
    }

    send(text) {
      this.sent.push(JSON.parse(text));
    }

    close() {
      this.closed = true;
      this.readyState = 3;
    }

    of(type) {
      return this.sent.filter((message) => message.type === type);
    }
  };
}

export const job = (id, revision, more = {}) => ({
  id, revision, type: "etl", stage: "load", createdAt: "2026-11-28T10:00:00.000Z", ...more,
});

export const delta = (since, through, jobs = [], more = {}) => ({
  type: "jobs:delta", epoch: "e1", since, through, cursor: `e1:${through}`, more: false, jobs, gone: [],
  ...more,
});
