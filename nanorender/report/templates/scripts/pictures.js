// Pictures: numbers of legible size, scale bars, and the enlarged view with zoom and pan.

const SVG = "http://www.w3.org/2000/svg";
const NUMBER_PX = 12; // height of the numbers on the screen
const NUMBER_ROOM_PX = 14; // particles that are narrower on the screen have no number
const LARGEST_ZOOM = 16; // screen pixels per image pixel
const ZOOM_STEP = 1.5;
const BAR_SHARE = 0.25; // largest length of a scale bar, in widths of the picture
const UNITS = [[1e6, "mm"], [1e3, "µm"], [1, "nm"]];

function viewBoxOf(svg) {
  return svg.getAttribute("viewBox").split(" ").map(Number);
}

// Give the numbers of a picture the same height on the screen whatever the zoom, and hide those of
// particles in which they have no room.
function fitNumbers(svg, widthPx = svg.getBoundingClientRect().width) {
  const numbers = svg.querySelector(".numbers");
  if (!numbers || !widthPx) return;
  const perPixel = viewBoxOf(svg)[2] / widthPx;
  numbers.setAttribute("font-size", NUMBER_PX * perPixel);
  for (const text of numbers.children) {
    text.classList.toggle("small", text.dataset.room < NUMBER_ROOM_PX * perPixel);
  }
}

// Longest bar of 1, 2 or 5 times a power of ten within its share of a width in image pixels.
function scaleBar(width, pixelSize) {
  const edge = pixelSize ?? 1;
  const longest = BAR_SHARE * width * edge;
  const power = 10 ** Math.floor(Math.log10(longest));
  const length = power * Math.max(...[1, 2, 5].filter((step) => step * power <= longest * (1 + 1e-9)));
  if (pixelSize === null) return { length, text: `${Number(length.toPrecision(3))} px` };
  const [factor, unit] = UNITS.find(([least]) => length >= least * (1 - 1e-9)) ?? UNITS.at(-1);
  return { length: length / edge, text: `${Number((length / factor).toPrecision(3))} ${unit}` };
}

// The enlarged view borrows the picture from the page, so that there is one set of outlines.
const zoom = {
  dialog: document.getElementById("zoom"),
  place: document.getElementById("zoom-picture"),
  svg: null,
  home: null, // where the picture belongs in the page
  whole: null, // its view box there
  view: null, // x, y and image pixels per screen pixel
  pointers: new Map(),
  dragged: false,

  get box() {
    return this.place.getBoundingClientRect();
  },

  // Image pixels per screen pixel at which the whole picture is seen.
  get fitting() {
    const { width, height } = this.box;
    return Math.max(this.whole[2] / width, this.whole[3] / height);
  },

  // Open a picture in full resolution around a point of the image, or larger if it fits.
  open(svg, x, y) {
    this.close();
    this.svg = svg;
    this.home = svg.parentElement;
    this.home.style.height = `${svg.getBoundingClientRect().height}px`;
    this.whole = viewBoxOf(svg);
    document.getElementById("zoom-title").textContent = study.images[svg.dataset.image].name;
    this.dialog.append(document.getElementById("bar"));
    this.dialog.showModal();
    this.place.append(svg);
    this.center(x, y, Math.min(1, this.fitting));
    this.dialog.focus();
  },

  close() {
    if (this.dialog.open) this.dialog.close();
  },

  // Give the picture back to the page.
  restore() {
    if (!this.svg) return;
    this.svg.setAttribute("viewBox", this.whole.join(" "));
    this.home.prepend(this.svg);
    this.home.style.height = "";
    document.body.append(document.getElementById("bar"));
    fitNumbers(this.svg);
    this.svg = null;
  },

  center(x, y, scale) {
    const { width, height } = this.box;
    this.show(x - (width * scale) / 2, y - (height * scale) / 2, scale);
  },

  // Show the part of the picture from a corner on, within its limits.
  show(x, y, scale) {
    const { width, height } = this.box;
    const [, , w, h] = this.whole;
    scale = Math.min(Math.max(scale, 1 / LARGEST_ZOOM), this.fitting);
    const clamp = (start, seen, all) =>
      seen >= all ? (all - seen) / 2 : Math.min(Math.max(start, 0), all - seen);
    this.view = { x: clamp(x, width * scale, w), y: clamp(y, height * scale, h), scale };
    this.svg.setAttribute("viewBox", [this.view.x, this.view.y, width * scale, height * scale].join(" "));
    fitNumbers(this.svg, width);
    document.getElementById("zoom-level").textContent = `${Math.round(100 / scale)} %`;
    const bar = scaleBar(width * scale, study.images[this.svg.dataset.image].pixelSize);
    const [text, line] = document.getElementById("zoom-scale").children;
    text.textContent = bar.text;
    line.style.width = `${bar.length / scale}px`;
  },

  // Zoom by a factor; the point of the picture below the pointer stays where it is.
  by(factor, clientX, clientY) {
    const { left, top, width, height } = this.box;
    const [px, py] = clientX === undefined ? [width / 2, height / 2] : [clientX - left, clientY - top];
    const { x, y, scale } = this.view;
    const next = Math.min(Math.max(scale / factor, 1 / LARGEST_ZOOM), this.fitting);
    this.show(x + px * (scale - next), y + py * (scale - next), next);
  },

  move(dx, dy) {
    const { x, y, scale } = this.view;
    this.show(x - dx * scale, y - dy * scale, scale);
  },

  // Drag with one pointer, pinch with two.
  follow(event) {
    const before = this.pointers.get(event.pointerId);
    if (!before) return;
    const others = [...this.pointers].filter(([id]) => id !== event.pointerId).map(([, point]) => point);
    const dx = event.clientX - before.x, dy = event.clientY - before.y;
    if (others.length) {
      const [other] = others;
      const distance = (x, y) => Math.max(Math.hypot(x - other.x, y - other.y), 1);
      this.by(distance(event.clientX, event.clientY) / distance(before.x, before.y), other.x, other.y);
    } else if (this.dragged || Math.hypot(event.clientX - before.startX, event.clientY - before.startY) > 3) {
      this.move(dx, dy);
    } else {
      return;
    }
    this.dragged = true;
    this.svg.classList.add("moving");
    Object.assign(before, { x: event.clientX, y: event.clientY });
  },
};

// Point of the image below the pointer.
function imagePoint(svg, event) {
  const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
  return [point.x, point.y];
}
