// The picture and its depth on one canvas: behind a slider, or side by side; with a mark to measure.
const LONGEST = 1600; // pixels of the canvas; more is not seen
const SMALL = 960; // pixels to whose width a narrower picture is enlarged, four times at most
const MARK = 9; // half of it, in pixels of the canvas
const NARROW = 600; // pixels of a page on which there is no room for two pictures

/** Draws a picture with its depth. */
export class Stage {
  /**
   * @param {HTMLCanvasElement} canvas
   * @param {HTMLElement} probe shows the value at the mark
   * @param {(text: string) => void} say tells screen readers
   */
  constructor(canvas, probe, say) {
    this.canvas = canvas;
    this.probe = probe;
    this.say = say;
    this.mode = "slide";
    this.cut = 0.5;
    this.picture = null; // what drawImage takes, and its part: [source, x, y, width, height]
    this.depth = null; // likewise
    this.map = null;
    this.mark = null; // pixel of the picture: [x, y]
    this.coloured = document.createElement("canvas");
    canvas.addEventListener("pointermove", (event) => this.#point(event));
    canvas.addEventListener("pointerdown", (event) => this.#point(event));
    canvas.addEventListener("pointerleave", () => this.#unmark());
    canvas.addEventListener("keydown", (event) => this.#key(event));
    canvas.addEventListener("blur", () => this.#unmark());
  }

  /** Show a picture and its map. */
  showMap(source, width, height, map, colours) {
    this.map = map;
    this.picture = [source, 0, 0, width, height];
    this.recolour(colours);
  }

  /** Show a picture and its depth that have no values, only colours. */
  showParts(picture, depth) {
    this.map = null;
    this.#unmark();
    [this.picture, this.depth] = [picture, depth];
    this.draw();
  }

  /** Other colours. */
  recolour(colours) {
    if (!this.map) return;
    this.coloured.width = this.map.width;
    this.coloured.height = this.map.height;
    this.coloured.getContext("2d").putImageData(this.map.colourise(colours), 0, 0);
    this.depth = [this.coloured, 0, 0, this.map.width, this.map.height];
    this.draw();
  }

  /** Draw what there is. */
  draw() {
    if (!this.depth) return;
    const [width, height] = this.#size();
    const beside = this.mode === "beside";
    const [right, down] = this.#offset(width, height);
    const whole = [width + right, height + down];
    if (this.canvas.width !== whole[0] || this.canvas.height !== whole[1]) {
      [this.canvas.width, this.canvas.height] = whole;
    }
    const context = this.canvas.getContext("2d");
    context.imageSmoothingQuality = "high";
    if (beside) {
      context.drawImage(...this.picture, 0, 0, width, height);
      context.drawImage(...this.depth, right, down, width, height);
    } else {
      const edge = Math.round(width * this.cut);
      context.drawImage(...this.picture, 0, 0, width, height);
      context.save();
      context.beginPath();
      context.rect(edge, 0, width - edge, height);
      context.clip();
      context.drawImage(...this.depth, 0, 0, width, height);
      context.restore();
      context.fillStyle = "#fff";
      context.fillRect(edge - 1, 0, 2, height);
    }
    this.#drawMark(context, width, height, [right, down]);
  }

  #size() {
    const [, , , width, height] = this.picture;
    const scale = Math.min(1, LONGEST / Math.max(width, height));
    const enlarged = width < SMALL ? Math.min(SMALL / width, 4) : scale;
    return [Math.round(width * enlarged), Math.round(height * enlarged)];
  }

  /** Where the depth begins on the canvas; on a narrow page below a wide picture, else beside it. */
  #offset(width, height) {
    if (this.mode !== "beside") return [0, 0];
    const below = this.canvas.parentElement.clientWidth < NARROW && width > height;
    return below ? [0, height] : [width, 0];
  }

  #drawMark(context, width, height, [right, down]) {
    if (!this.mark || !this.map) {
      this.probe.hidden = true;
      return;
    }
    const [rows, columns] = this.map.imageSize;
    const x = ((this.mark[0] + 0.5) / columns) * width;
    const y = ((this.mark[1] + 0.5) / rows) * height;
    for (const [dx, dy] of right || down ? [[0, 0], [right, down]] : [[0, 0]]) {
      for (const [colour, thick] of [["#000", 4], ["#fff", 2]]) {
        context.strokeStyle = colour;
        context.lineWidth = thick;
        context.beginPath();
        context.moveTo(x + dx - MARK, y + dy);
        context.lineTo(x + dx + MARK, y + dy);
        context.moveTo(x + dx, y + dy - MARK);
        context.lineTo(x + dx, y + dy + MARK);
        context.stroke();
      }
    }
    this.#placeProbe(x, y);
  }

  #placeProbe(x, y) {
    const { probe, canvas } = this;
    probe.hidden = false;
    probe.textContent = this.#words();
    const scale = canvas.clientWidth / canvas.width;
    const left = canvas.offsetLeft + x * scale + 12;
    const top = canvas.offsetTop + y * scale + 12;
    const box = canvas.parentElement;
    probe.style.left = `${Math.max(0, Math.min(left, box.clientWidth - probe.offsetWidth - 4))}px`;
    probe.style.top = `${Math.max(0, Math.min(top, box.clientHeight - probe.offsetHeight - 4))}px`;
  }

  #words() {
    const [x, y] = this.mark;
    return `${x}, ${y}: ${this.map.describe(this.map.at(x, y))}`;
  }

  #point(event) {
    if (!this.map) return;
    const box = this.canvas.getBoundingClientRect();
    const [rows, columns] = this.map.imageSize;
    const [width, height] = this.#size();
    const x = (((event.clientX - box.left) / box.width) * this.canvas.width) % width;
    const y = (((event.clientY - box.top) / box.height) * this.canvas.height) % height;
    this.mark = [clamp(Math.floor((x / width) * columns), columns), clamp(Math.floor((y / height) * rows), rows)];
    this.draw();
  }

  #key(event) {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (!step || !this.map) return;
    event.preventDefault();
    const [rows, columns] = this.map.imageSize;
    const far = event.shiftKey ? 1 : Math.max(1, Math.round(Math.max(rows, columns) / 40));
    const [x, y] = this.mark ?? [columns >> 1, rows >> 1];
    this.mark = [clamp(x + step[0] * far, columns), clamp(y + step[1] * far, rows)];
    this.draw();
    this.say(this.#words());
  }

  #unmark() {
    if (!this.mark) return;
    this.mark = null;
    this.draw();
  }
}

const clamp = (value, count) => Math.min(count - 1, Math.max(0, value));
