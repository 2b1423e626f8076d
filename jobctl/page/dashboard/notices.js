// Toasts, notifications of the browser, and the title and icon of the tab. A stub: the title.

export function notices(context) {
  return {
    update() {
      const { active } = context.jobs.counts;
      const title = active ? `${active} active · Jobs` : "Jobs";
      if (document.title !== title) document.title = title;
    },
    tick() {},
    tell() {},
  };
}
