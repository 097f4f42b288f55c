// A depth map: its values, how far they are, and their colours.
import { COLOURS } from "./colours.js";

const LOW = 0.02; // shares of a map's values between which colours are spread, as the server does
const HIGH = 0.98;
const SAMPLED = 20000;
const GREY = 0xff808080; // where there is no depth
const NEAR = 1; // distances to which relative depth is stretched, as `depthrt run -o cloud.ply` does
const FAR = 10;

/** The names of the colour maps. */
export const COLOUR_NAMES = Object.keys(COLOURS);

/**
 * @typedef {object} Meaning
 * @property {string} kind "depth" or "inverse_depth"
 * @property {string|null} unit "m", or null where values have none
 * @property {number[]} imageSize height and width of the picture
 * @property {number|null} [fovDeg] horizontal angle of view, where the network says it
 */

/** The depth of one picture. NaN: not known. */
export class DepthMap {
  /**
   * @param {Float32Array} values row by row
   * @param {number[]} size height and width of the map
   * @param {Meaning} meaning
   */
  constructor(values, size, meaning) {
    this.values = values;
    [this.height, this.width] = size;
    Object.assign(this, meaning);
    this.range = spread(values);
  }

  get isMetric() {
    return this.unit === "m";
  }

  /** The value at a pixel of the picture, bilinear as the server's `?at=x,y`; NaN: not known. */
  at(x, y) {
    const [row, down] = between(y, this.imageSize[0], this.height);
    const [column, across] = between(x, this.imageSize[1], this.width);
    const below = Math.min(row + 1, this.height - 1) * this.width;
    const right = Math.min(column + 1, this.width - 1);
    const above = row * this.width;
    const v = this.values;
    const top = v[above + column] * (1 - across) + v[above + right] * across;
    return top * (1 - down) + (v[below + column] * (1 - across) + v[below + right] * across) * down;
  }

  /** How near a value is within this map's colours: 0 far, 1 near. */
  nearness(value) {
    const [low, high] = this.range;
    const share = Math.min(1, Math.max(0, (value - low) / Math.max(high - low, 1e-12)));
    return this.kind === "depth" ? 1 - share : share;
  }

  /** The distance of a value along the optical axis; of relative depth from 1 to 10. */
  distance(value) {
    if (!Number.isFinite(value)) return NaN;
    if (this.isMetric) return this.kind === "depth" ? value : 1 / value;
    const near = this.nearness(value);
    if (this.kind === "depth") return FAR - near * (FAR - NEAR);
    return 1 / (1 / FAR + near * (1 / NEAR - 1 / FAR));
  }

  /** A value in words. */
  describe(value) {
    if (!Number.isFinite(value)) return "no depth here";
    if (this.isMetric) return `${digits(this.distance(value))} m`;
    return `${digits(value)}, ${Math.round(100 * this.nearness(value))} % near`;
  }

  /** What an end of the legend says: a share of nearness, 0 or 1. */
  describeEnd(near) {
    const [low, high] = this.range;
    const value = Boolean(near) === (this.kind === "depth") ? low : high;
    return this.isMetric ? `${digits(this.distance(value))} m` : digits(value);
  }

  /** The map as a file for `numpy.load`. */
  toNpy() {
    const about = `{'descr': '<f4', 'fortran_order': False, 'shape': (${this.height}, ${this.width}), }`;
    const head = `${about.padEnd(127 - 10)}\n`; // the head's length is a multiple of 64
    const begin = Uint8Array.from([0x93, ..."NUMPY"].map((c) => (typeof c === "string" ? c.charCodeAt(0) : c)));
    const sizes = [1, 0, head.length, 0];
    return new Blob([begin, Uint8Array.from(sizes), head, this.values], { type: "application/x-npy" });
  }

  /** The map in colours, of its own size. */
  colourise(name) {
    const table = paletteOf(name);
    const image = new ImageData(this.width, this.height);
    const pixels = new Uint32Array(image.data.buffer);
    const [low, high] = this.range;
    const gain = 255 / Math.max(high - low, 1e-12);
    const flipped = this.kind === "depth";
    for (let i = 0; i < pixels.length; i++) {
      const share = (this.values[i] - low) * gain;
      if (!(share > -Infinity && share < Infinity)) {
        pixels[i] = GREY;
        continue;
      }
      const code = share <= 0 ? 0 : share >= 255 ? 255 : (share + 0.5) | 0;
      pixels[i] = table[flipped ? 255 - code : code];
    }
    return image;
  }
}

/** The map of an answer in the form of `numpy.save` (NEP 1): little-endian float32, two axes. */
export function readNpy(buffer) {
  const bytes = new Uint8Array(buffer);
  if (bytes[0] !== 0x93 || String.fromCharCode(...bytes.subarray(1, 6)) !== "NUMPY") {
    throw new Error("The server's answer is no depth map.");
  }
  const view = new DataView(buffer);
  const long = bytes[6] > 1;
  const begin = long ? 12 : 10;
  const length = long ? view.getUint32(8, true) : view.getUint16(8, true);
  const head = new TextDecoder("latin1").decode(bytes.subarray(begin, begin + length));
  const shape = /'shape': \((\d+), (\d+)\)/.exec(head);
  if (!shape || !head.includes("'<f4'") || !head.includes("'fortran_order': False")) {
    throw new Error("The server's answer is no depth map.");
  }
  return { values: new Float32Array(buffer.slice(begin + length)), size: [Number(shape[1]), Number(shape[2])] };
}

/** 256 colours from far to near, as pixels of a canvas. */
export function paletteOf(name) {
  let table = palettes.get(name);
  if (!table) {
    const rgb = Uint8Array.from(atob(COLOURS[name]), (letter) => letter.charCodeAt(0));
    table = new Uint32Array(256);
    for (let i = 0; i < 256; i++) {
      table[i] = (255 << 24) | (rgb[3 * i + 2] << 16) | (rgb[3 * i + 1] << 8) | rgb[3 * i];
    }
    palettes.set(name, table);
  }
  return table;
}

const palettes = new Map();

/** Three digits of a number. */
export function digits(value) {
  const size = Math.abs(value);
  if (size >= 1e5 || (size > 0 && size < 1e-3)) return value.toExponential(2);
  return size >= 100 ? value.toFixed(0) : value.toPrecision(3);
}

function between(place, length, cells) {
  const centre = Math.min(cells - 1, Math.max(0, (place + 0.5) * (cells / length) - 0.5));
  const first = Math.floor(centre);
  return [first, centre - first];
}

/** The values between which colours are spread, found among evenly taken ones. */
function spread(values) {
  const step = Math.max(1, Math.floor(values.length / SAMPLED));
  const found = [];
  for (let i = 0; i < values.length; i += step) if (Number.isFinite(values[i])) found.push(values[i]);
  if (!found.length) return [0, 1];
  const sorted = Float32Array.from(found).sort();
  return [LOW, HIGH].map((share) => sorted[Math.round(share * (sorted.length - 1))]);
}
