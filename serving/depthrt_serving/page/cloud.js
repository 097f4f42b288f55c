// The points of a picture in space, to be turned; plain WebGL.
const EDGE = 0.1; // points between a near and a far surface are left out, as by `--edge 0.1`
const VERTEX = `
attribute vec3 place;
attribute vec3 colour;
uniform mat3 turn;
uniform vec3 centre;
uniform vec2 lens;
uniform float away;
uniform float reach;
uniform float size;
varying vec3 shown;
void main() {
  vec3 seen = turn * (place - centre);
  float ahead = seen.z + away;
  gl_Position = vec4(seen.x * lens.x, -seen.y * lens.y, ahead * (2.0 * ahead / reach - 1.0), ahead);
  gl_PointSize = clamp(size * place.z / ahead, 1.0, 24.0); // so that surfaces close, near and far
  shown = colour;
}`;
const FRAGMENT = `
precision mediump float;
varying vec3 shown;
void main() { gl_FragColor = vec4(shown, 1.0); }`;
const CLOSEST = 0.3;
const FARTHEST = 4;

/** Draws points on a canvas. */
export class Cloud {
  /** @param {HTMLCanvasElement} canvas */
  constructor(canvas) {
    this.canvas = canvas;
    this.count = 0;
    this.upright();
    this.#listen();
    this.#begin();
    canvas.addEventListener("webglcontextlost", (event) => event.preventDefault()); // so that it comes back
    canvas.addEventListener("webglcontextrestored", () => {
      this.#begin();
      if (this.shown) this.update(...this.shown);
    });
  }

  /** Whether this browser can draw them. */
  get works() {
    return this.gl !== null;
  }

  /** Look from beside where the picture was taken. */
  upright() {
    this.yaw = 0.25;
    this.pitch = 0.1;
    this.zoom = 1.2;
    this.draw();
  }

  /**
   * Take the points of a map.
   * @param {import("./depth.js").DepthMap} map
   * @param {CanvasImageSource} picture
   * @param {number} fovDeg horizontal angle of view
   */
  update(map, picture, fovDeg) {
    if (!this.gl) return;
    this.shown = [map, picture, fovDeg];
    const { width, height } = map;
    const small = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
    small.drawImage(picture, 0, 0, width, height);
    const pixels = small.getImageData(0, 0, width, height).data;
    const z = Float32Array.from(map.values, (value) => map.distance(value));
    const focal = map.imageSize[1] / 2 / Math.tan((fovDeg * Math.PI) / 360);
    const acrossOne = map.imageSize[1] / width / focal;
    const downOne = map.imageSize[0] / height / focal;
    const places = new Float32Array(3 * z.length);
    const colours = new Uint8Array(3 * z.length);
    let count = 0;
    for (let y = 0, i = 0; y < height; y++) {
      for (let x = 0; x < width; x++, i++) {
        if (!(z[i] > 0 && z[i] < Infinity) || hangs(z, i, x, y, width, height)) continue;
        places[3 * count] = (x + 0.5 - width / 2) * acrossOne * z[i];
        places[3 * count + 1] = (y + 0.5 - height / 2) * downOne * z[i];
        places[3 * count + 2] = z[i];
        for (let c = 0; c < 3; c++) colours[3 * count + c] = pixels[4 * i + c];
        count++;
      }
    }
    this.count = count;
    const sorted = Float32Array.from({ length: count }, (_, n) => places[3 * n + 2]).sort();
    const [near, far] = [0.05, 0.95].map((share) => sorted[Math.floor(share * count)] ?? 1);
    this.middle = 2 / (1 / near + 1 / far); // turned about this distance, both stay in view
    this.spacing = acrossOne;
    this.ratio = map.imageSize[1] / map.imageSize[0];
    this.fovDeg = fovDeg;
    this.#fill(this.places, "place", places.subarray(0, 3 * count), this.gl.FLOAT);
    this.#fill(this.colours, "colour", colours.subarray(0, 3 * count), this.gl.UNSIGNED_BYTE);
    this.draw();
  }

  /** Draw them as they are turned. */
  draw() {
    const { gl, canvas } = this;
    if (!gl || !this.count || !canvas.clientWidth) return;
    const dense = Math.min(2, devicePixelRatio || 1);
    const [width, height] = [canvas.clientWidth, canvas.clientHeight].map((side) => Math.round(side * dense));
    if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
    gl.viewport(0, 0, width, height);
    gl.clearColor(0.05, 0.045, 0.065, 1);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    const fits = Math.min(1, (height / width) * this.ratio); // all of it is seen from the front
    const lens = fits / Math.tan((this.fovDeg * Math.PI) / 360);
    const [cy, sy] = [Math.cos(this.yaw), Math.sin(this.yaw)];
    const [cp, sp] = [Math.cos(this.pitch), Math.sin(this.pitch)];
    // Columns of the turn: first about the vertical axis, then about the horizontal one.
    gl.uniformMatrix3fv(this.at("turn"), false, [cy, sp * sy, -cp * sy, 0, cp, sp, sy, -sp * cy, cp * cy]);
    gl.uniform3f(this.at("centre"), 0, 0, this.middle);
    gl.uniform2f(this.at("lens"), lens, (lens * width) / height);
    gl.uniform1f(this.at("away"), this.middle * this.zoom);
    gl.uniform1f(this.at("reach"), 200 * this.middle);
    gl.uniform1f(this.at("size"), 1.3 * this.spacing * lens * 0.5 * width);
    gl.drawArrays(gl.POINTS, 0, this.count);
  }

  #begin() {
    const { canvas } = this;
    this.gl = canvas.getContext("webgl", { preserveDrawingBuffer: true });
    const { gl } = this;
    if (!gl) return;
    const program = gl.createProgram();
    for (const [kind, text] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, text);
      gl.compileShader(shader);
      gl.attachShader(program, shader);
    }
    gl.linkProgram(program);
    if (!gl.getProgramParameter(program, gl.LINK_STATUS)) {
      this.gl = null;
      return;
    }
    gl.useProgram(program);
    gl.enable(gl.DEPTH_TEST);
    this.program = program;
    this.at = (name) => gl.getUniformLocation(program, name);
    [this.places, this.colours] = [gl.createBuffer(), gl.createBuffer()];
  }

  #fill(buffer, name, content, type) {
    const { gl } = this;
    const index = gl.getAttribLocation(this.program, name);
    gl.bindBuffer(gl.ARRAY_BUFFER, buffer);
    gl.bufferData(gl.ARRAY_BUFFER, content, gl.DYNAMIC_DRAW);
    gl.enableVertexAttribArray(index);
    gl.vertexAttribPointer(index, 3, type, type === gl.UNSIGNED_BYTE, 0, 0);
  }

  #listen() {
    const { canvas } = this;
    const held = new Map();
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      held.set(event.pointerId, event);
    });
    for (const end of ["pointerup", "pointercancel"]) {
      canvas.addEventListener(end, (event) => held.delete(event.pointerId));
    }
    canvas.addEventListener("pointermove", (event) => {
      const last = held.get(event.pointerId);
      if (!last) return;
      if (held.size === 1) {
        this.#turn((event.clientX - last.clientX) / 200, (event.clientY - last.clientY) / 200);
      } else {
        const other = [...held.values()].find((each) => each !== last);
        const gap = (one) => Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY);
        this.#come(gap(last) / Math.max(1, gap(event)));
      }
      held.set(event.pointerId, event);
    });
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      this.#come(Math.exp(event.deltaY / 600));
    }, { passive: false });
    canvas.addEventListener("keydown", (event) => this.#key(event));
    new ResizeObserver(() => this.draw()).observe(canvas);
  }

  #key(event) {
    const turns = { ArrowLeft: [-0.1, 0], ArrowRight: [0.1, 0], ArrowUp: [0, -0.1], ArrowDown: [0, 0.1] };
    if (event.key in turns) this.#turn(...turns[event.key]);
    else if (event.key === "+" || event.key === "=") this.#come(0.9);
    else if (event.key === "-") this.#come(1 / 0.9);
    else if (event.key === "Home") this.upright();
    else return;
    event.preventDefault();
  }

  #turn(across, down) {
    this.yaw += across;
    this.pitch = Math.max(-1.5, Math.min(1.5, this.pitch + down));
    this.draw();
  }

  #come(factor) {
    this.zoom = Math.max(CLOSEST, Math.min(FARTHEST, this.zoom * factor));
    this.draw();
  }
}

/** Whether a point lies between a nearer and a farther neighbour, far from both. */
function hangs(z, i, x, y, width, height) {
  let [nearest, farthest] = [z[i], z[i]];
  for (let dy = y > 0 ? -1 : 0; dy <= (y < height - 1 ? 1 : 0); dy++) {
    for (let dx = x > 0 ? -1 : 0; dx <= (x < width - 1 ? 1 : 0); dx++) {
      const other = z[i + dy * width + dx];
      if (other < nearest) nearest = other;
      if (other > farthest) farthest = other;
    }
  }
  return z[i] / (1 + EDGE) > nearest && farthest / (1 + EDGE) > z[i];
}
