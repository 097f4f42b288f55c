// The page: what a person gives it, and what it shows.
import { Cloud } from "./cloud.js";
import { depthOfClip, isClip, playClip } from "./clips.js";
import { COLOUR_NAMES, paletteOf } from "./depth.js";
import { clearNotice, notice, say, withPatience } from "./notice.js";
import { ask, hasToken, Refused, useToken } from "./server.js";
import { Stage } from "./stage.js";
import { depthOf, openCamera, streamCamera } from "./stream.js";

const SENT_AS_THEY_ARE = ["image/jpeg", "image/png", "image/webp"];
const duration = (ms) => (ms < 10_000 ? `${ms.toFixed(0)} ms` : `${(ms / 1000).toFixed(1)} s`);
const FACTS = [
  ["roundMs", "Round trip", duration],
  ["serverMs", "In the server", (ms) => `${ms.toFixed(0)} ms`],
  ["queueMs", "Waited", (ms) => `${ms.toFixed(1)} ms`],
  ["computeMs", "Computed", (ms) => `${ms.toFixed(1)} ms`],
  ["batch", "Batch", (count) => (count === 1 ? "1 image" : `${count} images`)],
  ["rate", "Rate", (rate) => `${rate.toFixed(1)} frames/s`],
  ["size", "Depth map", (text) => text],
  ["frames", "Frames", (count) => String(count)],
];
const byId = (id) => document.getElementById(id);
const stage = new Stage(byId("view"), byId("probe"), say);
let cloud = null; // made when it is first looked at
let job = new AbortController(); // what is being done; a new picture ends it
let shown = null; // {source, map}
let afterToken = null;

/** Do something in place of what is being done; say what goes wrong. */
async function begin(work) {
  job.abort();
  const mine = (job = new AbortController());
  clearNotice();
  byId("webcam").setAttribute("aria-pressed", "false");
  try {
    await work(mine);
    byId("token-form").hidden = true; // it was not needed, or is known
  } catch (error) {
    if (mine !== job) return; // something else is being done
    if (mine.signal.aborted) clearNotice();
    else if (error instanceof Refused && error.status === 401) askToken(work);
    else notice(error.message, "error");
  }
}

/** Ask for a token; the work is done once there is one. */
function askToken(work) {
  afterToken = () => begin(async (mine) => {
    await describeModel();
    await work(mine);
  });
  byId("token-form").hidden = false;
  byId("model").textContent = "What it serves is said to those who have a token.";
  notice(hasToken() ? "The server does not know this token." : "This server answers only with a token.", "busy");
  byId("token").focus();
}

async function describeModel() {
  const { models } = await (await ask("v1/models")).json();
  const [model] = models;
  const meaning = model.unit === "m" ? "metres" : `relative depth, larger is ${model.larger_is}`;
  byId("model").textContent = `${model.name}: ${meaning}, on ${model.provider}`;
}

function accept(file) {
  return begin((mine) => (isClip(file) ? clip(file, mine) : picture(file, mine)));
}

async function picture(file, mine) {
  notice("Asking for the depth…");
  const seen = await createImageBitmap(file).catch(() => null);
  if (!seen && !isHeic(file)) throw new Error("This browser cannot read that file as a picture: try a JPEG, PNG or WebP.");
  const blob = !seen || SENT_AS_THEY_ARE.includes(file.type) ? file : await converted(seen);
  const found = await withPatience(mine, async () => {
    const sent = performance.now();
    const { map, facts } = await depthOf(blob, mine);
    return { map, facts: { roundMs: performance.now() - sent, ...facts } };
  });
  clearNotice();
  if (!seen) notice("This browser does not show HEIC photos: here is the depth alone.");
  if (found.map.fovDeg) setFov(found.map.fovDeg);
  show(seen ?? blank(found.map.imageSize), found.map, found.facts, describe(found.map));
  say(`The depth is here: ${byId("view").getAttribute("aria-label")}`);
}

/** Whether a file is a photo that the server reads, and few browsers do. */
function isHeic(file) {
  return /^image\/hei[cf]$/.test(file.type) || /\.hei[cf]$/i.test(file.name);
}

/** What stands in the place of a picture that is not seen. */
function blank([rows, columns]) {
  const canvas = new OffscreenCanvas(columns, rows);
  const context = canvas.getContext("2d");
  context.fillStyle = "#777";
  context.fillRect(0, 0, columns, rows);
  return canvas;
}

/** A picture that the server does not read, as one that it reads. */
async function converted(source) {
  const canvas = new OffscreenCanvas(source.width, source.height);
  canvas.getContext("2d").drawImage(source, 0, 0);
  return canvas.convertToBlob({ type: "image/jpeg", quality: 0.95 });
}

function show(source, map, facts, label) {
  shown = { source, map };
  kindOfResult("map");
  stage.showMap(source, source.width, source.height, map, byId("colours").value);
  byId("view").setAttribute("aria-label", label);
  legend();
  showFacts({ ...facts, size: `${map.width} × ${map.height}` });
  if (mode() === "points") drawPoints();
}

function describe(map) {
  const [rows, columns] = map.imageSize;
  const middle = map.describe(map.at(columns >> 1, rows >> 1));
  const ends = map.isMetric ? `from ${map.describeEnd(1)} to ${map.describeEnd(0)}` : "bright is near";
  return `Picture of ${columns} by ${rows} pixels with its depth, ${ends}; in the middle ${middle}`;
}

/** Which parts are of use: of a map with values, or of a clip with colours alone. */
function kindOfResult(kind) {
  byId("result").hidden = false;
  const isClipShown = kind === "clip";
  for (const id of ["clip-row", "save-clip"]) byId(id).hidden = !isClipShown;
  for (const id of ["mode-points", "save-values"]) byId(id).hidden = isClipShown;
  if (isClipShown && mode() === "points") document.querySelector('[value="slide"]').checked = true;
  switchMode();
}

async function clip(file, mine) {
  const { blob, facts } = await depthOfClip(file, mine, byId("colours").value);
  clearNotice();
  kindOfResult("clip");
  byId("view").setAttribute("aria-label", "Clip with its depth, bright is near");
  showFacts(facts);
  say("The clip is done.");
  await playClip(blob, stage, mine);
}

function webcam() {
  if (byId("webcam").getAttribute("aria-pressed") === "true") {
    job.abort();
    byId("webcam").setAttribute("aria-pressed", "false");
    say("The webcam is off.");
    return undefined;
  }
  return begin(async (mine) => {
    notice("Waiting for the webcam…");
    const camera = await openCamera();
    try {
      byId("webcam").setAttribute("aria-pressed", "true");
      let busy = true; // the notice of waiting goes with the first frame, too
      const onFrame = ({ source, map, facts }) => {
        if (mine.signal.aborted) return;
        if (busy) clearNotice();
        busy = false;
        show(source, map, facts, "Webcam with its depth, bright is near");
      };
      await streamCamera(camera, mine, onFrame, (error) => {
        busy = true;
        notice(`${error.message} Frames are left out meanwhile.`, "busy");
      });
    } finally {
      for (const track of camera.getTracks()) track.stop();
      if (mine === job) byId("webcam").setAttribute("aria-pressed", "false");
    }
  });
}

function showFacts(facts) {
  const list = FACTS.filter(([key]) => facts[key] !== undefined && facts[key] !== null);
  byId("facts").replaceChildren(...list.map(([key, label, words]) => {
    const [group, term, value] = ["div", "dt", "dd"].map((name) => document.createElement(name));
    term.textContent = label;
    value.textContent = words(facts[key]);
    value.dataset.fact = key;
    group.append(term, value);
    return group;
  }));
}

function legend() {
  const ramp = byId("ramp").getContext("2d");
  const colours = ramp.createImageData(256, 1);
  new Uint32Array(colours.data.buffer).set(paletteOf(byId("colours").value));
  ramp.putImageData(colours, 0, 0);
  if (!shown) return;
  byId("far-said").textContent = shown.map.describeEnd(0);
  byId("near-said").textContent = shown.map.describeEnd(1);
}

const mode = () => document.querySelector('[name="mode"]:checked').value;

function switchMode() {
  const points = mode() === "points";
  byId("view").hidden = points;
  byId("cloud").hidden = !points;
  byId("points-row").hidden = !points;
  byId("cloud-hint").hidden = !points;
  const hasClip = !byId("clip-row").hidden;
  byId("view-hint").hidden = points || hasClip;
  byId("cut-row").hidden = mode() !== "slide";
  byId("legend").hidden = points || hasClip;
  if (points) {
    drawPoints();
    return;
  }
  stage.mode = mode();
  stage.draw();
}

function setFov(degrees) {
  byId("fov").value = degrees;
  byId("fov-said").textContent = `${byId("fov").value}°`;
}

function drawPoints() {
  cloud ??= new Cloud(byId("cloud"));
  if (!cloud.works) notice("This browser draws no points: it has no WebGL.", "error");
  else if (shown) cloud.update(shown.map, shown.source, Number(byId("fov").value));
}

function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

function wire() {
  byId("colours").replaceChildren(...COLOUR_NAMES.map((name) => new Option(name)));
  byId("colours").addEventListener("change", () => {
    stage.recolour(byId("colours").value);
    legend();
  });
  byId("file").addEventListener("change", (event) => {
    const [file] = event.target.files;
    event.target.value = ""; // the same file again is a change, too
    if (file) accept(file);
  });
  byId("webcam").addEventListener("click", webcam);
  byId("cut").addEventListener("input", (event) => {
    stage.cut = event.target.value / 100;
    stage.draw();
  });
  byId("fov").addEventListener("input", (event) => {
    setFov(event.target.value);
    drawPoints();
  });
  byId("upright").addEventListener("click", () => cloud?.upright());
  for (const radio of document.querySelectorAll('[name="mode"]')) radio.addEventListener("change", switchMode);
  byId("token-form").addEventListener("submit", (event) => {
    event.preventDefault();
    useToken(byId("token").value);
    byId("token").value = "";
    afterToken?.();
  });
  byId("save-values").addEventListener("click", () => save(shown.map.toNpy(), "depth.npy"));
  byId("save-picture").addEventListener("click", () => {
    (mode() === "points" ? byId("cloud") : byId("view")).toBlob((blob) => save(blob, "view.png"));
  });
  let inside = 0; // entered and not left
  const dragging = (change) => {
    inside = Math.max(0, inside + change);
    document.body.classList.toggle("dragging", inside > 0);
  };
  addEventListener("dragenter", () => dragging(1));
  addEventListener("dragleave", () => dragging(-1));
  addEventListener("dragover", (event) => event.preventDefault());
  addEventListener("drop", (event) => {
    event.preventDefault();
    dragging(-Infinity);
    const [file] = event.dataTransfer.files;
    if (file) accept(file);
    else notice("That is no file: drop a picture or a clip.", "error");
  });
  addEventListener("paste", (event) => {
    const [file] = event.clipboardData?.files ?? [];
    if (file) accept(file);
  });
}

function start() {
  return begin((mine) => withPatience(mine, describeModel));
}

wire();
legend();
start();
