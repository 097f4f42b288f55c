// The webcam: its newest frame to the server and depth back, over a WebSocket, or request by request.
import { DepthMap, readNpy } from "./depth.js";
import { address, ask, protocols, Refused, sentence, timing } from "./server.js";

const LONGEST = 640; // pixels of a frame's longer side
const QUALITY = 0.85;
const BUSY_MS = 500;
const EASE = 0.2; // share of a new frame's range in that of the colours

/** What a message or an answer says of a map. */
function meaningOf(header) {
  return { kind: header.kind, unit: header.unit, imageSize: header.image_size };
}

/** The camera, once the person allows it. */
export async function openCamera() {
  if (!navigator.mediaDevices?.getUserMedia) {
    throw new Error(
      "Browsers give the webcam only to pages over https or of this machine: serve with --tls-cert and --tls-key.",
    );
  }
  try {
    return await navigator.mediaDevices.getUserMedia({
      audio: false,
      video: { facingMode: "environment", width: { ideal: LONGEST }, height: { ideal: 480 } },
    });
  } catch (error) {
    const reasons = {
      NotAllowedError: "The browser was told not to give the webcam to this page.",
      NotFoundError: "There is no webcam.",
      NotReadableError: "Another program has the webcam.",
    };
    throw new Error(reasons[error.name] ?? `The webcam cannot be used (${error.message}).`);
  }
}

/**
 * Send the camera's frames and hand over their depth, until the job is aborted.
 * @param {MediaStream} camera
 * @param {AbortController} job
 * @param {(frame: {source: HTMLCanvasElement, map: DepthMap, facts: object}) => void} show
 * @param {(error: Refused) => void} tell hears of a frame that got no depth
 */
export async function streamCamera(camera, job, show, tell) {
  const video = document.createElement("video");
  video.muted = true;
  video.playsInline = true;
  video.srcObject = camera;
  await video.play();
  camera.getVideoTracks()[0].addEventListener("ended", () => job.abort());
  const link = (await openLink(job)) ?? { depthOf: depthByRequest, close() {} };
  const seconds = [];
  let range = null;
  try {
    while (!job.signal.aborted) {
      await whenSeen(job);
      const source = frameOf(video);
      const sent = performance.now();
      try {
        const { map, facts } = await link.depthOf(await jpegOf(source), job);
        range = range ? range.map((end, n) => end + EASE * (map.range[n] - end)) : map.range;
        map.range = range;
        const now = performance.now();
        seconds.push(now / 1000);
        while (seconds.length > 1 && now / 1000 - seconds[0] > 2) seconds.shift();
        const rate = seconds.length > 1 ? (seconds.length - 1) / (seconds.at(-1) - seconds[0]) : null;
        show({ source, map, facts: { roundMs: now - sent, rate, ...facts } });
      } catch (error) {
        if (!(error instanceof Refused) || [0, 401].includes(error.status)) throw error;
        tell(error);
        await pause(Math.max(BUSY_MS, error.retryMs), job);
      }
    }
  } finally {
    link.close();
    video.srcObject = null;
  }
}

/** A WebSocket of frames; null where none can be opened, by a proxy between, say. */
function openLink(job) {
  const place = address("v1/stream?format=npy&stabilise=1");
  place.protocol = place.protocol.replace("http", "ws");
  let socket;
  try {
    socket = new WebSocket(place, protocols());
  } catch {
    return null; // a token with letters that a subprotocol may not have
  }
  socket.binaryType = "arraybuffer";
  return new Promise((resolve) => {
    socket.addEventListener("open", () => resolve(new Link(socket, job)), { once: true });
    socket.addEventListener("error", () => resolve(null), { once: true });
  });
}

class Link {
  constructor(socket, job) {
    this.socket = socket;
    this.waiting = null;
    socket.addEventListener("message", (event) => this.#take(event.data));
    socket.addEventListener("close", () => this.#end(new Refused(0, "The server ended the stream.")));
    job.signal.addEventListener("abort", () => this.#end(job.signal.reason), { once: true });
  }

  depthOf(blob) {
    return new Promise((resolve, reject) => {
      this.waiting = { resolve, reject };
      if (this.socket.readyState === WebSocket.OPEN) this.socket.send(blob);
      else this.#end(new Refused(0, "The server ended the stream."));
    });
  }

  close() {
    this.socket.close();
  }

  #end(error) {
    this.waiting?.reject(error);
    this.waiting = null;
  }

  #take(data) {
    if (typeof data === "string") {
      const { error } = JSON.parse(data);
      this.#end(new Refused(503, sentence(error.message)));
      return;
    }
    const length = new DataView(data).getUint32(0, true);
    const header = JSON.parse(new TextDecoder().decode(new Uint8Array(data, 4, length)));
    const { values, size } = readNpy(data.slice(4 + length));
    const facts = { serverMs: header.latency_ms, batch: header.batch };
    this.waiting?.resolve({ map: new DepthMap(values, size, meaningOf(header)), facts });
    this.waiting = null;
  }
}

async function depthByRequest(blob, job) {
  return depthOf(blob, job);
}

/** The depth of a picture's file, by one request. */
export async function depthOf(blob, job) {
  const answer = await ask("v1/depth", {
    method: "POST",
    body: blob,
    headers: { Accept: "application/x-npy", "Content-Type": blob.type || "application/octet-stream" },
    signal: job.signal,
  });
  const { values, size } = readNpy(await answer.arrayBuffer());
  const { headers } = answer;
  const unit = headers.get("depthrt-unit");
  const meaning = {
    kind: headers.get("depthrt-kind"),
    unit: unit === "none" ? null : unit,
    imageSize: headers.get("depthrt-image-size").split("x").map(Number),
    fovDeg: Number(headers.get("depthrt-fov-deg")) || null,
  };
  return { map: new DepthMap(values, size, meaning), facts: timing(headers) };
}

function frameOf(video) {
  const scale = Math.min(1, LONGEST / Math.max(video.videoWidth, video.videoHeight));
  const canvas = document.createElement("canvas");
  canvas.width = Math.round(video.videoWidth * scale);
  canvas.height = Math.round(video.videoHeight * scale);
  canvas.getContext("2d").drawImage(video, 0, 0, canvas.width, canvas.height);
  return canvas;
}

function jpegOf(canvas) {
  return new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", QUALITY));
}

/** Wait while nobody looks at the page. */
function whenSeen(job) {
  if (!document.hidden) return undefined;
  return new Promise((resolve) => {
    document.addEventListener("visibilitychange", resolve, { once: true });
    job.signal.addEventListener("abort", resolve, { once: true });
  });
}

/** Wait; an aborted job ends it. */
export function pause(milliseconds, job) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, milliseconds);
    job.signal.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(job.signal.reason);
    }, { once: true });
  });
}
