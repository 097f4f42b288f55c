// A clip: sent up, computed by the server, and played beside its depth.
import { noticeProgress, withPatience } from "./notice.js";
import { ask, Refused, sentence } from "./server.js";
import { pause } from "./stream.js";

const ENDINGS = /\.(mp4|m4v|mov|mkv|webm|avi|ts|mpg|mpeg|flv|ogv)$/i;
const ASK_MS = 400;
const byId = (id) => document.getElementById(id);

/** Whether a file is a clip. */
export function isClip(file) {
  return file.type.startsWith("video/") || ENDINGS.test(file.name);
}

/**
 * Have a clip's depth computed.
 * @param {File} file
 * @param {AbortController} job its abort ends the server's work, too
 * @param {string} colours
 * @returns {Promise<{blob: Blob, facts: object}>} an MP4: pictures on the left, depth on the right
 */
export async function depthOfClip(file, job, colours) {
  const cancel = () => job.abort();
  const started = performance.now();
  let clip = await withPatience(job, async () => {
    noticeProgress(`Sending the clip, ${(file.size / 1e6).toFixed(1)} MB…`, null, cancel);
    const query = new URLSearchParams({ format: "mp4", view: "side", colormap: colours });
    const headers = { "Content-Type": file.type || "application/octet-stream" };
    const options = { method: "POST", body: file, headers, signal: job.signal };
    return (await ask(`v1/clips?${query}`, options).catch(explain)).json();
  });
  const path = `v1/clips/${clip.id}`;
  try {
    while (clip.state === "waiting" || clip.state === "running") {
      noticeProgress(...progressOf(clip), cancel);
      await pause(ASK_MS, job);
      clip = await withPatience(job, async () => (await ask(path, { signal: job.signal })).json());
    }
    if (clip.state !== "done") throw new Error(sentence(clip.error ?? "the clip could not be computed"));
    const tookMs = performance.now() - started;
    noticeProgress("Fetching the result…", null, cancel);
    const blob = await (await ask(`${path}/result`, { signal: job.signal })).blob();
    return { blob, facts: { frames: clip.frames, roundMs: tookMs, rate: (1000 * clip.frames) / tookMs } };
  } finally {
    ask(path, { method: "DELETE" }).catch(() => {}); // it is here, or nobody wants it any more
  }
}

/** A server that refuses a large clip closes the connection, and browsers then lose its answer. */
function explain(error) {
  if (error instanceof Refused && error.status === 0) {
    throw new Error("The connection ended while the clip was sent: it may be larger than the server takes.");
  }
  throw error;
}

function progressOf(clip) {
  if (clip.state === "waiting") return ["The clip is there, and waits for its turn…", null];
  const share = clip.total_frames ? Math.min(1, clip.frames / clip.total_frames) : null;
  return ["Computing the depth of the clip…", share];
}

/**
 * Play a clip on the stage, with a button and a slider.
 * @param {Blob} blob an MP4 with pictures on the left and depth on the right
 * @param {import("./stage.js").Stage} stage
 * @param {AbortController} job its abort ends it
 */
export async function playClip(blob, stage, job) {
  const [play, seek, save] = ["play", "seek", "save-clip"].map(byId);
  const video = document.createElement("video");
  Object.assign(video, { muted: true, playsInline: true, loop: true, src: URL.createObjectURL(blob) });
  save.href = video.src;
  job.signal.addEventListener("abort", () => {
    video.pause();
    URL.revokeObjectURL(video.src);
  }, { once: true });
  await new Promise((resolve, reject) => {
    video.onloadeddata = resolve;
    video.onerror = () => reject(new Error("This browser cannot play the result; it can be saved below."));
  });
  const half = video.videoWidth / 2;
  const show = () => {
    if (job.signal.aborted || video.seeking) return; // the frame that is sought is not there yet
    stage.showParts([video, 0, 0, half, video.videoHeight], [video, half, 0, half, video.videoHeight]);
    seek.value = (1000 * video.currentTime) / video.duration;
    seek.setAttribute("aria-valuetext", `${video.currentTime.toFixed(1)} of ${video.duration.toFixed(1)} seconds`);
  };
  const follow = () => {
    show();
    if (!video.paused && !job.signal.aborted) requestAnimationFrame(follow);
  };
  const paint = (playing) => {
    play.textContent = playing ? "Pause" : "Play";
  };
  video.onplay = () => {
    paint(true);
    follow();
  };
  video.onpause = () => paint(false);
  video.onseeked = show;
  play.onclick = () => (video.paused ? video.play() : video.pause());
  seek.oninput = () => {
    video.requestVideoFrameCallback?.(show); // "seeked" may come before the frame does
    video.currentTime = (video.duration * seek.value) / 1000;
  };
  show();
  paint(false);
  if (!matchMedia("(prefers-reduced-motion: reduce)").matches) await video.play();
}
