// Keeps the screen on while the page is shown on a wall. Browsers offer that to https and localhost only.

let wanted = false, lock = null;

/** Keep the screen on, or no longer. */
export function keepAwake(isWanted) {
  wanted = isWanted;
  if (!wanted) {
    lock?.release().catch(() => {});
    lock = null;
  } else acquire();
}

async function acquire() {
  if (!wanted || lock !== null || document.visibilityState !== "visible") return;
  try {
    const held = await navigator.wakeLock?.request("screen");
    if (held === undefined) return;
    lock = held;
    held.addEventListener("release", () => (lock = lock === held ? null : lock));
    if (!wanted) keepAwake(false);
  } catch {
    // a low battery, or the browser does not allow it: the page works without
  }
}

// The lock ends when the page is hidden.
document.addEventListener("visibilitychange", acquire);
