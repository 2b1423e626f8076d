// The title and the icon of the tab. Pure functions.

const COLOURS = { idle: "#14804a", active: "#1769d2", away: "#7b8794", failed: "#d32f2f" };

/** `3 active, 2 failed · Jobs` */
export function titleOf({ active, failed }, name) {
  const parts = [active && `${active} active`, failed && `${failed} failed`].filter(Boolean);
  return [parts.join(", "), name || "Jobs"].filter(Boolean).join(" · ");
}

/** The icon as a data URL: how many jobs are active, a red corner if some have failed, grey without a hub. */
export function iconOf({ active, failed, live }) {
  const text = active > 99 ? "99" : active ? String(active) : "";
  const fill = COLOURS[!live ? "away" : active ? "active" : "idle"];
  const inner = text
    ? `<text x="16" y="${text.length > 1 ? 22.5 : 23.5}" font-family="system-ui,sans-serif" font-weight="700" font-size="${text.length > 1 ? 18 : 21}" text-anchor="middle" fill="#fff">${text}</text>`
    : '<path d="M9 17l5 5 10-11" fill="none" stroke="#fff" stroke-width="4" stroke-linecap="round" stroke-linejoin="round"/>';
  const badge = failed ? `<circle cx="25" cy="7" r="6.5" fill="${COLOURS.failed}" stroke="#fff" stroke-width="1.5"/>` : "";
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="8" fill="${fill}"/>${inner}${badge}</svg>`;
  return `data:image/svg+xml,${encodeURIComponent(svg)}`;
}
