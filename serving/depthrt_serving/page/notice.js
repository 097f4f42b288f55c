// What the page says of the server's state, for eyes and for screen readers.
import { Refused } from "./server.js";

const TRIES = 8;
const LEAST_MS = 500;
const byId = (id) => document.getElementById(id);

/** Show a sentence. Kinds: "info", "busy", "error". */
export function notice(text, kind = "info") {
  const [box, words] = [byId("notice"), byId("notice-text")];
  box.hidden = false;
  box.dataset.kind = kind;
  if (words.textContent !== text) words.textContent = text;
  for (const id of ["countdown", "retry", "cancel", "progress"]) byId(id).hidden = true;
}

/** Take the notice away. */
export function clearNotice() {
  byId("notice").hidden = true;
  byId("notice-text").textContent = "";
}

/** Show a sentence, how far work is (0 to 1; null: not known), and a button that ends it. */
export function noticeProgress(text, share, cancel) {
  notice(text);
  const bar = byId("progress");
  bar.hidden = false;
  if (share === null) bar.removeAttribute("value");
  else bar.value = share;
  offer("cancel", cancel);
}

/** Say something to screen readers alone. */
export function say(text) {
  byId("said").textContent = text;
}

/**
 * Do work; while the server is busy, wait as long as it says, and try again.
 * @param {AbortController} job ends it all
 * @param {() => Promise<T>} work
 * @returns {Promise<T>}
 * @template T
 */
export async function withPatience(job, work) {
  for (let tries = 1; ; tries++) {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof Refused && error.isBusy) || tries === TRIES) throw error;
      await wait(job, Math.max(LEAST_MS, error.retryMs));
    }
  }
}

/** Count down, so that a person sees why nothing happens; "Try now" and "Cancel" end the wait. */
function wait(job, milliseconds) {
  const end = performance.now() + milliseconds;
  notice("The server has more to do than it can at the moment. What you gave is kept here, and sent again by itself.", "busy");
  const clock = byId("countdown");
  clock.hidden = false;
  return new Promise((resolve, reject) => {
    const tick = () => {
      const left = Math.ceil((end - performance.now()) / 1000);
      clock.textContent = `in ${Math.max(left, 0)} s`;
      if (left <= 0) done();
    };
    const timer = setInterval(tick, 200);
    const done = () => {
      clearInterval(timer);
      clearNotice();
      resolve();
    };
    job.signal.addEventListener("abort", () => {
      clearInterval(timer);
      reject(job.signal.reason);
    });
    offer("retry", done);
    offer("cancel", () => job.abort());
    tick();
  });
}

function offer(id, action) {
  const button = byId(id);
  button.hidden = false;
  button.onclick = action;
}
